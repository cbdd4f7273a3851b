//! Policies of Istio and Cilium, as far as they say something that can be said here exactly. What
//! cannot is refused by name, so that nothing changes its meaning on the way.

mod cilium;
mod istio;
mod regex;

use serde_saphyr::Spanned;

use crate::load::{Fields, LoadError, Node, Place, PolicyFile, Reader, Value, documents};
use crate::model::{AuthorizationPolicy, Spec};
use crate::validate::faults;

/// The label that a workload must have for the namespace of a policy to be told: as Cilium calls
/// it. Policies of Kubernetes are for the workloads of their namespace.
pub(crate) const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";

/// What must be known to convert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConvertOptions {
    /// The trust domain of the SPIFFE IDs. Without it a service account is matched in any.
    pub trust_domain: Option<String>,
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Policies that load.
    pub policies: Vec<AuthorizationPolicy>,
    /// What the new policies compare differently.
    pub notes: Vec<Note>,
}

/// A difference that an operator should know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where the original stands.
    pub place: Place,
    /// What it is called there.
    pub path: String,
    /// What the difference is. One line.
    pub message: String,
}

/// Converts Istio's AuthorizationPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
///
/// # Errors
/// Everything in the file that cannot be said exactly. Nothing is converted then.
pub fn convert(
    file: &PolicyFile<'_>,
    options: &ConvertOptions,
) -> Result<Converted, Vec<LoadError>> {
    let error = |place: Place, path: &str, message: String| LoadError {
        file: file.name.to_owned(),
        place,
        path: path.to_owned(),
        message,
    };
    let documents =
        documents(file.text).map_err(|(place, message)| vec![error(place, "", message)])?;
    let mut errors = Vec::new();
    if documents.is_empty() {
        let message = "there is no policy in this file".to_owned();
        errors.push(error(Place::START, "", message));
    }
    let mut converted = Converted {
        policies: Vec::new(),
        notes: Vec::new(),
    };
    for document in &documents {
        let mut conversion = Conversion {
            reader: Reader::default(),
            options,
            notes: Vec::new(),
        };
        let policies = conversion.document(document);
        let reader = conversion.reader;
        let misread = reader.faults.into_iter();
        errors.extend(misread.map(|fault| error(fault.place, &fault.path, fault.message)));
        for fault in policies.iter().flat_map(|policy| faults(policy, &[])) {
            let document = Place::of(document.referenced);
            let place = reader.places.get(&fault.path).copied().unwrap_or(document);
            errors.push(error(place, &fault.path, fault.message));
        }
        converted.policies.extend(policies);
        converted.notes.append(&mut conversion.notes);
    }
    if errors.is_empty() {
        Ok(converted)
    } else {
        Err(errors)
    }
}

/// The policies as a file that [`load`](crate::load()) reads.
pub fn to_yaml(policies: &[AuthorizationPolicy]) -> String {
    // Texts, lists and mappings with text keys: there is nothing that YAML could not write.
    serde_saphyr::to_string_multiple(policies).expect("a policy can be written as YAML")
}

/// The conversion of one document.
struct Conversion<'o> {
    reader: Reader,
    options: &'o ConvertOptions,
    notes: Vec<Note>,
}

/// Whose a policy is.
struct Origin {
    name: String,
    namespace: Option<String>,
}

impl Conversion<'_> {
    fn document(&mut self, document: &Spanned<Node>) -> Vec<AuthorizationPolicy> {
        let document = Value::document(document);
        let known = ["apiVersion", "kind", "metadata", "spec", "specs", "status"];
        let mut fields = self.reader.mapping(&document, &known);
        let kinds = [
            ("AuthorizationPolicy", Format::Istio),
            ("CiliumNetworkPolicy", Format::Cilium),
            ("CiliumClusterwideNetworkPolicy", Format::Cilium),
        ];
        let kind = self.reader.required(&document, &mut fields, "kind");
        let Some(format) = kind.and_then(|kind| self.reader.word(&kind, &kinds)) else {
            return Vec::new();
        };
        let versions: &[(&str, ())] = match format {
            Format::Istio => &[
                ("security.istio.io/v1", ()),
                ("security.istio.io/v1beta1", ()),
            ],
            Format::Cilium => &[("cilium.io/v2", ())],
        };
        if let Some(version) = self.reader.required(&document, &mut fields, "apiVersion") {
            self.reader.word(&version, versions);
        }
        let origin = self.origin(&document, &mut fields);
        match format {
            Format::Istio => {
                let spec = self.istio(fields.take("spec"), &origin);
                vec![AuthorizationPolicy::new(origin.full_name(), spec)]
            }
            Format::Cilium => self.cilium(&document, &mut fields, &origin),
        }
    }

    /// Name and namespace; what else `metadata` holds says nothing about requests.
    fn origin<'n>(&mut self, document: &Value<'n>, fields: &mut Fields<'n>) -> Origin {
        let mut origin = Origin {
            name: String::new(),
            namespace: None,
        };
        let Some(metadata) = self.reader.required(document, fields, "metadata") else {
            return origin;
        };
        for (key, value) in self.reader.entries(&metadata) {
            match key {
                "name" => origin.name = self.reader.text(&value),
                "namespace" => origin.namespace = Some(self.reader.text(&value)),
                _ => {}
            }
        }
        if origin.name.is_empty() {
            self.reader.fault(&metadata, "name is missing");
        }
        origin
    }

    fn note(&mut self, value: &Value<'_>, message: &str) {
        self.notes.push(Note {
            place: Place::of(value.node.referenced),
            path: value.path.clone(),
            message: message.to_owned(),
        });
    }
}

#[derive(Clone, Copy)]
enum Format {
    Istio,
    Cilium,
}

impl Origin {
    fn full_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Restricts `spec` to the workloads of the namespace.
    fn scope(&self, mut spec: Spec) -> Spec {
        if let Some(namespace) = &self.namespace {
            let selector = spec.selector.get_or_insert_default();
            let labels = &mut selector.match_labels;
            labels.insert(NAMESPACE_LABEL.to_owned(), namespace.clone());
        }
        spec
    }
}
