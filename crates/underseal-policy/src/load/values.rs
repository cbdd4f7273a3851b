//! Values of a document: what each must be, and what is said where it is something else.

use std::collections::{BTreeMap, HashMap};

use serde_saphyr::Spanned;

use super::suggestion::suggestion;
use super::{LoadError, Location, Node, Note};

/// Something that is no policy, or no part of one.
#[derive(Debug)]
pub(crate) struct Misread {
    pub(crate) location: Location,
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Misread {
    pub(crate) fn new(value: &Value<'_>, message: impl Into<String>) -> Self {
        Self {
            location: Location::of(value.node.referenced),
            path: value.path.clone(),
            message: message.into(),
        }
    }

    pub(crate) fn error(self, file: &str) -> LoadError {
        LoadError {
            file: file.to_owned(),
            location: self.location,
            path: self.path,
            message: self.message,
        }
    }

    pub(crate) fn note(self, file: &str) -> Note {
        Note {
            file: file.to_owned(),
            location: self.location,
            path: self.path,
            message: self.message,
        }
    }
}

/// Reads one document and goes on after a fault, with nothing in its place.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Keys of others that are not supported, and why not.
    pub(crate) foreign: &'static [(&'static str, &'static str)],
    pub(crate) faults: Vec<Misread>,
    /// Where each value that was read stands.
    pub(crate) locations: HashMap<String, Location>,
}

/// A value and what it is called from the document's start.
#[derive(Clone, Debug)]
pub(crate) struct Value<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Spanned<Node>,
}

impl<'n> Value<'n> {
    /// The whole document.
    pub(crate) fn document(node: &'n Spanned<Node>) -> Self {
        Self {
            path: String::new(),
            node,
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let Node::Mapping(entries) = &self.node.value else {
            return None;
        };
        let (_, node) = entries.iter().find(|(found, _)| found.value == key)?;
        Some(Self {
            path: self.path_to(key),
            node,
        })
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&'n str> {
        match &self.node.value {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a text of the list that this is `is`.
    pub(crate) fn any_text(&self, is: impl Fn(&str) -> bool) -> bool {
        let Node::List(items) = &self.node.value else {
            return false;
        };
        let mut items = items.iter();
        items.any(|item| matches!(&item.value, Node::Text(text) if is(text)))
    }

    /// What the value at `key`, or at a path, is called.
    pub(crate) fn path_to(&self, key: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{key}", self.path)
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && std::ptr::eq(self.node, other.node)
    }
}

impl Eq for Value<'_> {}

/// The entries of a mapping, by key.
#[derive(Debug)]
pub(crate) struct Fields<'n>(BTreeMap<&'n str, Value<'n>>);

impl<'n> Fields<'n> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value<'n>> {
        self.0.remove(key)
    }
}

impl Reader {
    pub(crate) fn texts(&mut self, value: Option<Value<'_>>) -> Vec<String> {
        let items = self.list(value);
        items.iter().map(|item| self.text(item)).collect()
    }

    /// The items of a list that may be left out, but not empty: whether an empty one would match
    /// all or nothing, readers would disagree.
    pub(crate) fn list<'n>(&mut self, value: Option<Value<'n>>) -> Vec<Value<'n>> {
        let Some(value) = value else {
            return Vec::new();
        };
        if matches!(&value.node.value, Node::List(items) if items.is_empty()) {
            self.fault(&value, "is empty; to match all, leave it out");
        }
        self.items(&value)
    }

    pub(crate) fn items<'n>(&mut self, value: &Value<'n>) -> Vec<Value<'n>> {
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

    pub(crate) fn text(&mut self, value: &Value<'_>) -> String {
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

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        let read = match &value.node.value {
            Node::Scalar("a boolean", written) => written.to_lowercase().parse().ok(),
            _ => None,
        };
        if read.is_none() {
            self.fault(value, "expected `true` or `false`");
        }
        read
    }

    pub(crate) fn choice<T: Copy + Default>(
        &mut self,
        value: Option<Value<'_>>,
        words: &[(&str, T)],
    ) -> T {
        value
            .and_then(|value| self.word(&value, words))
            .unwrap_or_default()
    }

    /// One of several words.
    pub(crate) fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        if let Node::Text(text) = &value.node.value
            && let Some((_, choice)) = words.iter().find(|(word, _)| word == text)
        {
            return Some(*choice);
        }
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.fault(value, format!("expected {}", words.join(" or ")));
        None
    }

    pub(crate) fn required<'n>(
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
    pub(crate) fn mapping<'n>(&mut self, value: &Value<'n>, known: &[&str]) -> Fields<'n> {
        let (good, unknown): (Vec<_>, Vec<_>) = self
            .entries(value)
            .into_iter()
            .partition(|(key, _)| known.contains(key));
        for (key, value) in unknown {
            let location = self.locations[&value.path];
            let foreign = self.foreign.iter().find(|(foreign, _)| *foreign == key);
            let message = match foreign {
                Some((key, why)) => format!("not supported: {key}: {why}"),
                None => suggestion(key, known),
            };
            self.fault_at(location, &value.path, message);
        }
        Fields(good.into_iter().collect())
    }

    /// The entries of a mapping, whatever their keys.
    pub(crate) fn any_mapping<'n>(&mut self, value: &Value<'n>) -> Fields<'n> {
        Fields(self.entries(value).into_iter().collect())
    }

    /// Whether an empty mapping would match all or nothing, readers would disagree.
    pub(crate) fn check_not_empty(&mut self, value: &Value<'_>) {
        if matches!(&value.node.value, Node::Mapping(entries) if entries.is_empty()) {
            self.fault(value, "is empty; to match all, leave it out");
        }
    }

    pub(crate) fn entries<'n>(&mut self, value: &Value<'n>) -> Vec<(&'n str, Value<'n>)> {
        let Node::Mapping(entries) = &value.node.value else {
            let found = value.node.value.kind();
            self.fault(value, format!("expected a mapping, found {found}"));
            return Vec::new();
        };
        let mut read = Vec::new();
        for (key, node) in entries {
            let path = value.path_to(&key.value);
            self.locations
                .insert(path.clone(), Location::of(key.referenced));
            read.push((&*key.value, Value { path, node }));
        }
        read
    }

    fn note(&mut self, value: &Value<'_>) {
        let location = Location::of(value.node.referenced);
        self.locations.insert(value.path.clone(), location);
    }

    /// A fault of a value is reported where the value stands, not its key.
    pub(crate) fn fault(&mut self, value: &Value<'_>, message: impl Into<String>) {
        self.fault_at(Location::of(value.node.referenced), &value.path, message);
    }

    fn fault_at(&mut self, location: Location, path: &str, message: impl Into<String>) {
        self.faults.push(Misread {
            location,
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

/// Whether the value at `path` is one of a list of ports.
fn is_port(path: &str) -> bool {
    let list = path.split('[').rev().nth(1).unwrap_or_default();
    list.ends_with(".ports") || list.ends_with(".notPorts") || path.ends_with("].port")
}
