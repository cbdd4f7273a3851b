//! From the text of files to policies, with every error of every file and its place.

mod node;
mod reader;
mod suggestion;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::model::AuthorizationPolicy;
use crate::validate::{Fault, faults};
pub(crate) use node::{Node, documents};
pub(crate) use values::{Fields, Reader, Value};

/// A file: what messages call it, and its text. The crate opens none itself.
#[derive(Clone, Copy, Debug)]
pub struct PolicyFile<'a> {
    /// As messages name it.
    pub name: &'a str,
    /// YAML, one policy per document.
    pub text: &'a str,
}

/// Where something stands in a file, counted from one, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

impl Place {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn of(location: serde_saphyr::Location) -> Self {
        Self {
            line: location.line().max(1),
            column: location.column().max(1),
        }
    }
}

/// Why a file cannot be loaded: the fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// [`PolicyFile::name`].
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// What stands there, as in `spec.rules[0].from`; empty where no document can be read.
    pub path: String,
    /// What is wrong with it, and what to write instead where that is known. One line.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{}:{line}:{column}: ", self.file)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads the policies of all `files`, in their order.
///
/// `tcp_ports` are those on which something else than HTTP is spoken: a rule that asks there for a
/// method, path, host or header could never be judged, and does not load.
///
/// # Errors
/// Everything that is wrong with any of the files, in their order. Nothing is loaded then: half a
/// policy may allow what the whole denies. A file without any policy is an error too.
///
/// ```
/// use underseal_policy::{PolicyFile, load};
///
/// let file = PolicyFile { name: "p.yaml", text: "kind: AuthorizationPolicy\nspec: {rule: []}\n" };
/// let errors = load(&[file], &[]).unwrap_err();
/// assert_eq!(
///     errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
///     [
///         "p.yaml:1:1: apiVersion is missing",
///         "p.yaml:1:1: metadata is missing",
///         "p.yaml:2:8: spec.rule: no such key; did you mean `rules`?",
///     ]
/// );
/// ```
pub fn load(
    files: &[PolicyFile<'_>],
    tcp_ports: &[u16],
) -> Result<Vec<AuthorizationPolicy>, Vec<LoadError>> {
    let mut policies = Vec::new();
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for file in files {
        let loaded = File::read(file, tcp_ports, &mut names);
        policies.extend(loaded.policies);
        errors.extend(loaded.errors);
    }
    if errors.is_empty() {
        Ok(policies)
    } else {
        Err(errors)
    }
}

/// What came of one file.
struct File<'a> {
    name: &'a str,
    policies: Vec<AuthorizationPolicy>,
    errors: Vec<LoadError>,
}

impl<'a> File<'a> {
    fn read(file: &PolicyFile<'a>, tcp_ports: &[u16], names: &mut BTreeSet<String>) -> Self {
        let mut read = Self {
            name: file.name,
            policies: Vec::new(),
            errors: Vec::new(),
        };
        let documents = match documents(file.text) {
            Ok(documents) => documents,
            Err((place, message)) => {
                read.error(place, "", message);
                return read;
            }
        };
        if documents.is_empty() {
            read.error(Place::START, "", "there is no policy in this file");
        }
        for document in &documents {
            let mut reader = Reader::default();
            let policy = reader.policy(document);
            let places = reader.places;
            let before = read.errors.len();
            for fault in reader.faults {
                read.error(fault.place, &fault.path, fault.message);
            }
            // A leaf that is wrong is worth reporting even where a key beside it is unknown.
            for fault in faults(&policy, tcp_ports) {
                read.fault(&places, fault);
            }
            let name = &policy.metadata.name;
            if !name.is_empty() && !names.insert(name.clone()) {
                let fault = Fault::new("metadata.name", format!("there is another `{name}`"));
                read.fault(&places, fault);
            }
            read.errors[before..].sort_by_key(|error| error.place);
            read.policies.push(policy);
        }
        read
    }

    fn error(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.errors.push(LoadError {
            file: self.name.to_owned(),
            place,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn fault(&mut self, places: &HashMap<String, Place>, fault: Fault) {
        // What a fault is about was read from the file, so it has a place.
        let place = places.get(&fault.path).copied().unwrap_or(Place::START);
        self.error(place, &fault.path, fault.message);
    }
}
