//! Policies of Istio and Cilium, as far as they say something that can be said here: a converted set
//! allows nothing that the original denies. What cannot be kept exactly is refused by name, or noted
//! where it only narrows.

mod block;
mod both;
mod cilium;
mod document;
mod istio;
mod metadata;
mod options;
mod proof;
mod regex;

use std::collections::BTreeSet;

pub use self::document::{Document, Outcome};
pub use self::options::{ConvertOptions, NamedPort, RemoteIp};
use self::proof::Allowing;
use crate::load::{Kind, LoadError, Location, Misread, PolicyFile, Reader, Value, documents};
use serde::Serialize;

use crate::model::{AuthorizationPolicy, RequestAuthentication, Selector, Spec};
use crate::validate::{WithoutHttp, faults};

/// The label that a workload must have for the namespace of a policy to be told: as Cilium calls
/// it. Policies of Kubernetes are for the workloads of their namespace.
pub(crate) const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";

/// What came of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Policies that load.
    pub policies: Vec<AuthorizationPolicy>,
    /// Which tokens are believed.
    pub authentications: Vec<RequestAuthentication>,
    /// What an operator should know: what was narrowed, and what was passed over.
    pub notes: Vec<Note>,
}

/// A difference that an operator should know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// [`PolicyFile::name`].
    pub file: String,
    /// Where the original stands.
    pub location: Location,
    /// What it is called there.
    pub path: String,
    /// What the difference is. One line.
    pub message: String,
}

/// Converts Istio's AuthorizationPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, also
/// those in a `List`. Documents of kinds that are no policies are passed over, with a note each.
///
/// # Errors
/// Everything in the files that cannot be said. Nothing is converted then.
pub fn convert(
    files: &[PolicyFile<'_>],
    options: &ConvertOptions,
) -> Result<Converted, Vec<LoadError>> {
    let examined = examine(files, options);
    let mut converted = Converted::default();
    let mut errors = Vec::new();
    for document in examined {
        converted.policies.extend(document.policies);
        converted.authentications.extend(document.authentications);
        converted.notes.extend(document.notes);
        errors.extend(document.errors);
    }
    // An empty set would allow everything.
    let says_nothing = converted.policies.is_empty() && converted.authentications.is_empty();
    let is_empty = errors.is_empty() && says_nothing;
    if let (true, Some(file)) = (is_empty, files.first()) {
        let message = "there is no policy in this file, nor in any other".to_owned();
        errors.extend(Document::unread(file.name, Location::START, message).errors);
    }
    if errors.is_empty() {
        Ok(converted)
    } else {
        Err(errors)
    }
}

/// What comes of each document of `files`, in their order: those that can be converted, and those
/// that [`convert`] would refuse the files for.
pub fn examine(files: &[PolicyFile<'_>], options: &ConvertOptions) -> Vec<Document> {
    let mut examined = Vec::new();
    for file in files {
        let before = examined.len();
        match documents(file.text) {
            Err((location, message)) => {
                examined.push(Document::unread(file.name, location, message));
            }
            Ok(documents) => {
                for document in &documents {
                    examine_value(
                        file.name,
                        &Value::document(document),
                        options,
                        &mut examined,
                    );
                }
            }
        }
        if examined.len() == before {
            let message = "there is no policy in this file".to_owned();
            examined.push(Document::unread(file.name, Location::START, message));
        }
    }
    refuse_twins(&mut examined);
    both::refuse_both(&mut examined);
    proof::refuse_unproven(&mut examined);
    for document in &mut examined {
        document.settle();
    }
    examined
}

fn examine_value(
    file: &str,
    value: &Value<'_>,
    options: &ConvertOptions,
    examined: &mut Vec<Document>,
) {
    let kind = Kind::of(value);
    if let Kind::List(items) = &kind {
        let mut reader = Reader::default();
        for item in reader.items(items) {
            examine_value(file, &item, options, examined);
        }
        return;
    }
    let location = Location::of(value.node.referenced);
    let mut conversion = Conversion {
        reader: Reader::default(),
        options,
        narrowed: Vec::new(),
        notes: Vec::new(),
        name: (String::new(), location),
        authentications: Vec::new(),
        allowing: Vec::new(),
    };
    let is_policy = !matches!(kind, Kind::Other(_));
    let policies = conversion.document(value, kind);
    let mut found = conversion.reader.faults;
    // Values were checked where they stand; what is left is about the whole.
    if found.is_empty() {
        let left = policies.iter();
        let left = left.flat_map(|policy| faults(policy, WithoutHttp::NOWHERE));
        found.extend(left.map(|fault| Misread {
            location,
            path: value.path.clone(),
            message: fault.to_string(),
        }));
    }
    found.sort_by_key(|fault| fault.location);
    let outcome = match (is_policy, conversion.narrowed.is_empty()) {
        (false, _) => Outcome::PassedOver,
        (true, true) => Outcome::Exact,
        (true, false) => Outcome::Narrowed,
    };
    let notes = conversion.narrowed.into_iter().chain(conversion.notes);
    let kind = value.get("kind").and_then(|kind| kind.as_text());
    examined.push(Document {
        file: file.to_owned(),
        location,
        kind: kind.unwrap_or_default().to_owned(),
        name: conversion.name.0,
        outcome,
        policies,
        authentications: conversion.authentications,
        notes: notes.map(|note| note.note(file)).collect(),
        errors: found.into_iter().map(|fault| fault.error(file)).collect(),
        name_location: conversion.name.1,
        allowing: conversion.allowing,
    });
}

/// Policies of one name overwrite each other in a cluster, and do not load here.
fn refuse_twins(documents: &mut [Document]) {
    let mut names = BTreeSet::new();
    for document in documents {
        let policies = document.policies.iter().map(|policy| &policy.metadata);
        let tokens = document
            .authentications
            .iter()
            .map(|tokens| &tokens.metadata);
        let all = policies
            .map(|metadata| ("policy", &metadata.name))
            .chain(tokens.map(|metadata| ("tokens", &metadata.name)));
        let mut twins = all.filter(|(kind, name)| !names.insert((*kind, (*name).clone())));
        let twin = twins.next().map(|(_, name)| name.clone());
        if let Some(name) = twin {
            let fault = Misread {
                location: document.name_location,
                path: "metadata.name".to_owned(),
                message: format!("there is another `{name}`"),
            };
            document.errors.push(fault.error(&document.file));
        }
    }
}

impl Converted {
    /// All of it as a file that [`load_all`](crate::load_all) reads.
    pub fn to_yaml(&self) -> String {
        written(&self.policies, &self.authentications)
    }
}

/// The policies as a file that [`load`](crate::load()) reads.
pub fn to_yaml(policies: &[AuthorizationPolicy]) -> String {
    written(policies, &[])
}

fn written(policies: &[AuthorizationPolicy], tokens: &[RequestAuthentication]) -> String {
    let policies = policies.iter().map(Object::Policy);
    let objects: Vec<_> = policies.chain(tokens.iter().map(Object::Tokens)).collect();
    // Texts, lists and mappings with text keys: there is nothing that YAML could not write.
    serde_saphyr::to_string_multiple(&objects).expect("a policy can be written as YAML")
}

/// A document of a file.
#[derive(Serialize)]
#[serde(untagged)]
enum Object<'a> {
    Policy(&'a AuthorizationPolicy),
    Tokens(&'a RequestAuthentication),
}

/// The conversion of one document.
struct Conversion<'o> {
    reader: Reader,
    options: &'o ConvertOptions,
    /// What is allowed there and not here.
    narrowed: Vec<Misread>,
    /// What else an operator should know.
    notes: Vec<Misread>,
    /// The full name, and where it stands.
    name: (String, Location),
    /// Which tokens are believed.
    authentications: Vec<RequestAuthentication>,
    /// What items of Cilium's say of proofs.
    allowing: Vec<Allowing>,
}

/// Whose a policy is.
#[derive(Debug, Default)]
struct Origin {
    name: String,
    namespace: Option<String>,
}

impl Conversion<'_> {
    fn document(&mut self, document: &Value<'_>, kind: Kind<'_>) -> Vec<AuthorizationPolicy> {
        let versions: &[(&str, ())] = match kind {
            Kind::Istio | Kind::IstioTokens => &[
                ("security.istio.io/v1", ()),
                ("security.istio.io/v1beta1", ()),
            ],
            Kind::Cilium { .. } => &[("cilium.io/v2", ())],
            Kind::Other(other) => {
                let message = format!("`{other}` is no policy: passed over");
                self.notes.push(Misread::new(document, message));
                return Vec::new();
            }
            Kind::Denies(name) => {
                let message = format!(
                    "not supported: {name} denies by itself; say by hand what it denies, and take \
                     it out"
                );
                self.reader.fault(document, message);
                return Vec::new();
            }
            Kind::Own | Kind::OwnTokens => {
                self.reader
                    .fault(document, "is not a policy of Istio or Cilium");
                return Vec::new();
            }
            Kind::List(_) | Kind::Unknown => {
                let mut fields = self.reader.any_mapping(document);
                self.reader.required(document, &mut fields, "apiVersion");
                self.reader.required(document, &mut fields, "kind");
                return Vec::new();
            }
        };
        self.reader.foreign = if matches!(kind, Kind::Cilium { .. }) {
            cilium::FOREIGN
        } else {
            istio::FOREIGN
        };
        let known = [
            "apiVersion",
            "kind",
            "metadata",
            "spec",
            "specs",
            "status",
            // Says nothing; older guides of Cilium have it here.
            "description",
        ];
        let mut fields = self.reader.mapping(document, &known);
        if let Some(version) = self.reader.required(document, &mut fields, "apiVersion") {
            self.reader.word(&version, versions);
        }
        let metadata = self.metadata(document, &mut fields, &kind);
        let policies = match kind {
            Kind::Istio => self.istio(&mut fields, &metadata),
            Kind::IstioTokens => {
                self.authentications = self.authentications(document, &mut fields, &metadata);
                Vec::new()
            }
            _ => self.cilium(document, &mut fields, &metadata.origin),
        };
        self.note_label(document, &policies);
        policies
    }

    /// A policy for the workloads of a namespace is in force for none that has not said so.
    fn note_label(&mut self, document: &Value<'_>, policies: &[AuthorizationPolicy]) {
        let namespace = policies.iter().find_map(|policy| {
            let selector = policy.spec.selector.as_ref()?;
            selector.match_labels.get(NAMESPACE_LABEL)
        });
        if let Some(namespace) = namespace {
            let message = format!(
                "is in force for workloads with the label {NAMESPACE_LABEL}={namespace} alone: give \
                 it with `--label`"
            );
            self.notes.push(Misread::new(document, message));
        }
    }

    /// Something is allowed there and not here.
    fn narrow(&mut self, value: &Value<'_>, message: impl Into<String>) {
        self.narrowed.push(Misread::new(value, message));
    }

    /// An operator should know this.
    fn note(&mut self, value: &Value<'_>, message: impl Into<String>) {
        self.notes.push(Misread::new(value, message));
    }

    /// The texts of a list, each of them made into what it is called here, and checked.
    fn values(
        &mut self,
        list: Option<Value<'_>>,
        made: impl Fn(&Self, &str) -> Result<Vec<String>, String>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let mut values = Vec::new();
        for item in self.reader.list(list) {
            let text = self.reader.text(&item);
            if text.is_empty() {
                continue;
            }
            let became = made(self, &text).and_then(|became| {
                became.iter().try_for_each(|text| check(text))?;
                Ok(became)
            });
            match became {
                Ok(became) => values.extend(became),
                Err(message) => self.reader.fault(&item, message),
            }
        }
        values
    }
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
        spec.selector = self.selector(spec.selector);
        spec
    }

    /// Restricts `selector` to the workloads of the namespace.
    fn selector(&self, selector: Option<Selector>) -> Option<Selector> {
        let Some(namespace) = &self.namespace else {
            return selector;
        };
        let mut selector = selector.unwrap_or_default();
        let labels = &mut selector.match_labels;
        labels.insert(NAMESPACE_LABEL.to_owned(), namespace.clone());
        Some(selector)
    }
}
