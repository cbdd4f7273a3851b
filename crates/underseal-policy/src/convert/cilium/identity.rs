//! Whom the labels of a peer stand for: the namespace and the service account are in its SPIFFE ID,
//! the others are known where a mesh tells them.

use super::{Direction, Section};
use crate::condition::Key;
use crate::convert::{Conversion, NAMESPACE_LABEL, Origin};
use crate::load::Value;
use crate::model::Condition;
use crate::validate::check_value;

/// The label of a peer's service account.
const SERVICE_ACCOUNT_LABEL: &str = "io.cilium.k8s.policy.serviceaccount";

/// What labels of a peer's namespace begin with.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";

/// Who a peer is.
pub(super) struct Identity {
    /// Patterns of its SPIFFE ID.
    pub(super) principals: Vec<String>,
    /// What its labels must be.
    pub(super) labels: Vec<Condition>,
}

/// A label, and what its value must be, or must not be.
pub(super) struct Requirement<'n> {
    pub(super) label: String,
    place: Value<'n>,
    values: Vec<String>,
    not_values: Vec<String>,
}

impl Requirement<'_> {
    /// The only value that it may have.
    pub(super) fn value(&self) -> Option<&str> {
        match (&*self.values, &*self.not_values) {
            ([value], []) if value != "*" => Some(value),
            _ => None,
        }
    }
}

impl Conversion<'_> {
    /// The peers that a selector stands for.
    pub(super) fn identity(
        &mut self,
        endpoint: &Value<'_>,
        section: &Section,
        origin: &Origin,
    ) -> Option<Identity> {
        let before = self.reader.faults.len();
        let mut namespaces: Vec<_> = origin.namespace.iter().cloned().collect();
        let mut accounts = Vec::new();
        let mut labels = Vec::new();
        for requirement in self.requirements(endpoint) {
            let slot = match &*requirement.label {
                NAMESPACE_LABEL => &mut namespaces,
                SERVICE_ACCOUNT_LABEL => &mut accounts,
                label => {
                    if label.starts_with(NAMESPACE_LABELS) {
                        namespaces.clear();
                    }
                    labels.extend(self.label(&requirement, section));
                    continue;
                }
            };
            if !requirement.not_values.is_empty() {
                let message = "not supported: a SPIFFE ID that does not tell this";
                self.reader.fault(&requirement.place, message);
            }
            for value in &requirement.values {
                if let Err(message) = check_value("namespaces", value) {
                    self.reader.fault(&requirement.place, message);
                }
            }
            *slot = requirement.values;
            slot.retain(|value| value != "*");
        }
        if !labels.is_empty() {
            let message = "is allowed only where the labels of the peer are known, and denied where \
                           they are not";
            self.narrow(endpoint, message);
        }
        let Some(domain) = &self.options.trust_domain else {
            let message = "a peer has the trust domain of the cluster: give `--trust-domain`";
            self.reader.fault(endpoint, message);
            return None;
        };
        let principals = principals(domain, &namespaces, &accounts);
        for principal in &principals {
            if let Err(message) = check_value("principals", principal) {
                self.reader.fault(endpoint, message);
            }
        }
        if principals.is_empty() {
            self.reader
                .fault(endpoint, "names a service account of no namespace");
        }
        (self.reader.faults.len() == before).then_some(Identity { principals, labels })
    }

    fn label(&mut self, requirement: &Requirement<'_>, section: &Section) -> Option<Condition> {
        let whose = match section.direction {
            Direction::Ingress => "source",
            Direction::Egress => "destination",
        };
        let key = format!("{whose}.labels[{}]", requirement.label);
        let mut values = requirement.values.iter().chain(&requirement.not_values);
        let checked = Key::parse(&key).and_then(|key| {
            values.try_for_each(|value| match value.contains('*') && value != "*" {
                true => Err(format!("no label has a `*`: `{value}`")),
                false => key.check(value),
            })
        });
        if let Err(message) = checked {
            self.reader.fault(&requirement.place, message);
            return None;
        }
        Some(Condition {
            key,
            values: requirement.values.clone(),
            not_values: requirement.not_values.clone(),
        })
    }

    /// What a selector asks for, without the source that Cilium writes before a label.
    pub(super) fn requirements<'n>(&mut self, selector: &Value<'n>) -> Vec<Requirement<'n>> {
        let known = ["matchLabels", "matchExpressions"];
        let mut fields = self.reader.mapping(selector, &known);
        let mut read = Vec::new();
        if let Some(labels) = fields.take("matchLabels") {
            for (label, place) in self.reader.entries(&labels) {
                let values = vec![self.reader.text(&place)];
                read.extend(self.requirement(label, place, values, Vec::new()));
            }
        }
        if let Some(expressions) = fields.take("matchExpressions") {
            for expression in self.reader.items(&expressions) {
                read.extend(self.expression(&expression));
            }
        }
        read
    }

    fn expression<'n>(&mut self, value: &Value<'n>) -> Option<Requirement<'n>> {
        let mut fields = self.reader.mapping(value, &["key", "operator", "values"]);
        let key = self.reader.required(value, &mut fields, "key")?;
        let operator = self.reader.required(value, &mut fields, "operator")?;
        let label = self.reader.text(&key);
        let listed = self.reader.texts(fields.take("values"));
        let any = vec!["*".to_owned()];
        let operators = [("In", 0), ("NotIn", 1), ("Exists", 2), ("DoesNotExist", 3)];
        let (values, not_values) = match self.reader.word(&operator, &operators)? {
            0 => (listed, Vec::new()),
            1 => (Vec::new(), listed),
            2 => (any, Vec::new()),
            _ => (Vec::new(), any),
        };
        if values.is_empty() && not_values.is_empty() {
            self.reader.fault(value, "has no values");
            return None;
        }
        self.requirement(&label, value.clone(), values, not_values)
    }

    fn requirement<'n>(
        &mut self,
        label: &str,
        place: Value<'n>,
        values: Vec<String>,
        not_values: Vec<String>,
    ) -> Option<Requirement<'n>> {
        let label = match label.split_once(':') {
            None => label,
            Some(("k8s" | "any", label)) => label,
            Some((source, _)) => {
                let message = format!("labels of `{source}` cannot be told here");
                self.reader.fault(&place, message);
                return None;
            }
        };
        Some(Requirement {
            label: label.to_owned(),
            place,
            values,
            not_values,
        })
    }
}

/// None if there are accounts of no namespace.
fn principals(domain: &str, namespaces: &[String], accounts: &[String]) -> Vec<String> {
    match (namespaces, accounts) {
        ([], []) => vec![format!("spiffe://{domain}/*")],
        (namespaces, []) => namespaces
            .iter()
            .map(|namespace| format!("spiffe://{domain}/ns/{namespace}/*"))
            .collect(),
        (namespaces, accounts) => {
            let each = namespaces.iter().flat_map(|namespace| {
                let each = accounts.iter();
                each.map(move |account| format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
            });
            each.collect()
        }
    }
}
