//! From YAML values to the model: which keys there are, and what kind of value each has.

use std::collections::{BTreeMap, HashMap};

use serde_saphyr::Spanned;

use super::{Node, Place};
use crate::model::{
    API_VERSION, Action, AuthorizationPolicy, Condition, Direction, From, KIND, Operation, Rule,
    Selector, Source, Spec, To,
};

/// Something that is no policy, or no part of one.
#[derive(Debug)]
pub(crate) struct Misread {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Reads one document and goes on after a fault, with nothing in its place.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) faults: Vec<Misread>,
    /// Where each value that was read stands.
    pub(crate) places: HashMap<String, Place>,
}

/// A value and what it is called from the document's start.
#[derive(Clone, Debug)]
struct Value<'n> {
    path: String,
    node: &'n Spanned<Node>,
}

/// The entries of a mapping, by key.
#[derive(Debug)]
struct Fields<'n>(BTreeMap<&'n str, Value<'n>>);

impl<'n> Fields<'n> {
    fn take(&mut self, key: &str) -> Option<Value<'n>> {
        self.0.remove(key)
    }
}

impl Reader {
    /// The policy that the document is. It is whole if there are no faults.
    pub(crate) fn policy(&mut self, document: &Spanned<Node>) -> AuthorizationPolicy {
        let document = Value {
            path: String::new(),
            node: document,
        };
        let mut fields = self.mapping(&document, &["apiVersion", "kind", "metadata", "spec"]);
        for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            if let Some(value) = self.required(&document, &mut fields, key) {
                self.word(&value, &[(expected, ())]);
            }
        }
        let name = self
            .required(&document, &mut fields, "metadata")
            .map_or_else(String::new, |metadata| {
                let mut fields = self.mapping(&metadata, &["name"]);
                self.required(&metadata, &mut fields, "name")
                    .map_or_else(String::new, |name| self.text(&name))
            });
        let spec = self
            .required(&document, &mut fields, "spec")
            .map_or_else(Spec::default, |spec| self.spec(&spec));
        AuthorizationPolicy::new(name, spec)
    }

    fn spec(&mut self, value: &Value<'_>) -> Spec {
        let mut fields = self.mapping(value, &["selector", "direction", "action", "rules"]);
        let directions = [Direction::Ingress, Direction::Egress].map(|d| (d.as_str(), d));
        let actions = [Action::Allow, Action::Deny, Action::Audit].map(|a| (a.as_str(), a));
        Spec {
            selector: fields.take("selector").map(|value| self.selector(&value)),
            direction: self.choice(fields.take("direction"), &directions),
            action: self.choice(fields.take("action"), &actions),
            rules: fields.take("rules").map_or_else(Vec::new, |rules| {
                // Alone among the lists it may be empty: then the policy matches nothing.
                let rules = self.items(&rules);
                rules.iter().map(|rule| self.rule(rule)).collect()
            }),
        }
    }

    fn selector(&mut self, value: &Value<'_>) -> Selector {
        let mut fields = self.mapping(value, &["matchLabels"]);
        let labels = self.required(value, &mut fields, "matchLabels");
        let mut match_labels = BTreeMap::new();
        if let Some(labels) = labels {
            let entries = self.entries(&labels);
            if entries.is_empty() {
                self.fault(
                    &labels,
                    "has no label; for all workloads leave out `selector`",
                );
            }
            for (label, value) in entries {
                match_labels.insert(label.to_owned(), self.text(&value));
            }
        }
        Selector { match_labels }
    }

    fn rule(&mut self, value: &Value<'_>) -> Rule {
        let mut fields = self.mapping(value, &["from", "to", "when"]);
        let from = self.list(fields.take("from"));
        let to = self.list(fields.take("to"));
        let when = self.list(fields.take("when"));
        Rule {
            from: from.iter().map(|value| self.from(value)).collect(),
            to: to.iter().map(|value| self.to(value)).collect(),
            when: when.iter().map(|value| self.condition(value)).collect(),
        }
    }

    fn from(&mut self, value: &Value<'_>) -> From {
        let mut fields = self.mapping(value, &["source"]);
        let Some(source) = self.required(value, &mut fields, "source") else {
            return From::default();
        };
        let mut lists = self.lists(
            &source,
            [
                "principals",
                "notPrincipals",
                "namespaces",
                "notNamespaces",
                "ipBlocks",
                "notIpBlocks",
            ],
        );
        let mut take = |key| lists.remove(key).unwrap_or_default();
        From {
            source: Source {
                principals: take("principals"),
                not_principals: take("notPrincipals"),
                namespaces: take("namespaces"),
                not_namespaces: take("notNamespaces"),
                ip_blocks: take("ipBlocks"),
                not_ip_blocks: take("notIpBlocks"),
            },
        }
    }

    fn to(&mut self, value: &Value<'_>) -> To {
        let mut fields = self.mapping(value, &["operation"]);
        let Some(operation) = self.required(value, &mut fields, "operation") else {
            return To::default();
        };
        let mut lists = self.lists(
            &operation,
            [
                "hosts",
                "notHosts",
                "ports",
                "notPorts",
                "methods",
                "notMethods",
                "paths",
                "notPaths",
            ],
        );
        let mut take = |key| lists.remove(key).unwrap_or_default();
        To {
            operation: Operation {
                hosts: take("hosts"),
                not_hosts: take("notHosts"),
                ports: take("ports"),
                not_ports: take("notPorts"),
                methods: take("methods"),
                not_methods: take("notMethods"),
                paths: take("paths"),
                not_paths: take("notPaths"),
            },
        }
    }

    fn condition(&mut self, value: &Value<'_>) -> Condition {
        let mut fields = self.mapping(value, &["key", "values", "notValues"]);
        let key = self.required(value, &mut fields, "key");
        if fields.0.is_empty() && key.is_some() {
            self.fault(value, "has neither `values` nor `notValues`");
        }
        Condition {
            key: key.map_or_else(String::new, |key| self.text(&key)),
            values: self.texts(fields.take("values")),
            not_values: self.texts(fields.take("notValues")),
        }
    }

    /// The lists of texts that a mapping consists of; at least one.
    fn lists<const N: usize>(
        &mut self,
        value: &Value<'_>,
        known: [&'static str; N],
    ) -> HashMap<&'static str, Vec<String>> {
        if matches!(&value.node.value, Node::Mapping(entries) if entries.is_empty()) {
            self.fault(value, "is empty; to match all, leave it out");
        }
        let mut fields = self.mapping(value, &known);
        let read = known.map(|key| (key, self.texts(fields.take(key))));
        read.into_iter().collect()
    }

    fn texts(&mut self, value: Option<Value<'_>>) -> Vec<String> {
        let items = self.list(value);
        items.iter().map(|item| self.text(item)).collect()
    }

    /// The items of a list that may be left out, but not empty: whether an empty one would match
    /// all or nothing, readers would disagree.
    fn list<'n>(&mut self, value: Option<Value<'n>>) -> Vec<Value<'n>> {
        let Some(value) = value else {
            return Vec::new();
        };
        if matches!(&value.node.value, Node::List(items) if items.is_empty()) {
            self.fault(&value, "is empty; to match all, leave it out");
        }
        self.items(&value)
    }

    fn items<'n>(&mut self, value: &Value<'n>) -> Vec<Value<'n>> {
        match &value.node.value {
            Node::List(items) => {
                let items = items.iter().enumerate().map(|(index, node)| Value {
                    path: format!("{}[{index}]", value.path),
                    node,
                });
                items.inspect(|item| self.note(item)).collect()
            }
            other => {
                self.fault(value, format!("expected a list, found {}", other.kind()));
                Vec::new()
            }
        }
    }

    fn text(&mut self, value: &Value<'_>) -> String {
        let message = match &value.node.value {
            Node::Text(text) if text.is_empty() => "is empty".to_owned(),
            Node::Text(text) => return text.clone(),
            // A port is a number to everyone but YAML's readers.
            Node::Scalar(_, written) if is_port(&value.path) => return written.clone(),
            Node::Scalar(kind, written) => {
                format!("expected text, found {kind}; write \"{written}\"")
            }
            other => format!("expected text, found {}", other.kind()),
        };
        self.fault(value, message);
        String::new()
    }

    fn choice<T: Copy + Default>(&mut self, value: Option<Value<'_>>, words: &[(&str, T)]) -> T {
        value
            .and_then(|value| self.word(&value, words))
            .unwrap_or_default()
    }

    /// One of several words.
    fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        if let Node::Text(text) = &value.node.value
            && let Some((_, choice)) = words.iter().find(|(word, _)| word == text)
        {
            return Some(*choice);
        }
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.fault(value, format!("expected {}", words.join(" or ")));
        None
    }

    fn required<'n>(
        &mut self,
        parent: &Value<'n>,
        fields: &mut Fields<'n>,
        key: &str,
    ) -> Option<Value<'n>> {
        let value = fields.take(key);
        let is_mapping = matches!(parent.node.value, Node::Mapping(_));
        if value.is_none() && is_mapping {
            self.fault(parent, format!("{key} is missing"));
        }
        value
    }

    /// The entries of a mapping whose keys are `known`; others are faults.
    fn mapping<'n>(&mut self, value: &Value<'n>, known: &[&str]) -> Fields<'n> {
        let (good, unknown): (Vec<_>, Vec<_>) = self
            .entries(value)
            .into_iter()
            .partition(|(key, _)| known.contains(key));
        for (key, value) in unknown {
            let place = self.places[&value.path];
            self.fault_at(place, &value.path, suggestion(key, known));
        }
        Fields(good.into_iter().collect())
    }

    fn entries<'n>(&mut self, value: &Value<'n>) -> Vec<(&'n str, Value<'n>)> {
        let Node::Mapping(entries) = &value.node.value else {
            let found = value.node.value.kind();
            self.fault(value, format!("expected a mapping, found {found}"));
            return Vec::new();
        };
        let dot = if value.path.is_empty() { "" } else { "." };
        let mut read = Vec::new();
        for (key, node) in entries {
            let path = format!("{}{dot}{}", value.path, key.value);
            self.places.insert(path.clone(), Place::of(key.referenced));
            read.push((&*key.value, Value { path, node }));
        }
        read
    }

    fn note(&mut self, value: &Value<'_>) {
        let place = Place::of(value.node.referenced);
        self.places.insert(value.path.clone(), place);
    }

    /// A fault of a value is reported where the value stands, not its key.
    fn fault(&mut self, value: &Value<'_>, message: impl Into<String>) {
        self.fault_at(Place::of(value.node.referenced), &value.path, message);
    }

    fn fault_at(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.faults.push(Misread {
            place,
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

/// Whether the value at `path` is one of a list of ports.
fn is_port(path: &str) -> bool {
    let list = path.split('[').rev().nth(1).unwrap_or_default();
    list.ends_with(".ports") || list.ends_with(".notPorts")
}

/// What to say about a key that is not known.
fn suggestion(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|word| (distance(&key.to_lowercase(), &word.to_lowercase()), word))
        .min();
    match nearest {
        Some((distance, word)) if distance <= 2 => {
            format!("no such key; did you mean `{word}`?")
        }
        _ => format!("no such key; there are {}", known.join(", ")),
    }
}

/// How many letters one must insert, remove or replace to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
