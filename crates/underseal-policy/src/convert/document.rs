//! What comes of one document.

use super::proof::Allowing;
use super::{Note, written};
use crate::load::{LoadError, Loaded, Location, PolicyFile, load_all};
use crate::model::{AuthorizationPolicy, RequestAuthentication};

/// What came of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// [`PolicyFile::name`].
    pub file: String,
    /// Where it begins.
    pub location: Location,
    /// Its `kind`, if it has one.
    pub kind: String,
    /// Its namespace and name, as far as it has them.
    pub name: String,
    /// How its meaning was kept.
    pub outcome: Outcome,
    /// The policies that it became; none if it was refused or passed over.
    pub policies: Vec<AuthorizationPolicy>,
    /// Which tokens are believed, if it says so.
    pub authentications: Vec<RequestAuthentication>,
    /// How they are narrower, and what they need to be in force.
    pub notes: Vec<Note>,
    /// Why it was refused.
    pub errors: Vec<LoadError>,
    /// Where its name stands.
    pub(super) name_location: Location,
    /// What its items of Cilium's say of proofs.
    pub(super) allowing: Vec<Allowing>,
}

/// How the meaning of a document was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Exactly.
    Exact,
    /// What it allows is allowed in part, what it denies is denied.
    Narrowed,
    /// Not at all: something in it cannot be said.
    Refused,
    /// It is no policy.
    PassedOver,
}

impl Outcome {
    /// A word for a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Narrowed => "narrowed",
            Self::Refused => "refused",
            Self::PassedOver => "passed over",
        }
    }
}

impl Document {
    /// What nothing can be read of.
    pub(super) fn unread(file: &str, location: Location, message: String) -> Self {
        let error = LoadError {
            file: file.to_owned(),
            location,
            path: String::new(),
            message,
        };
        Self {
            file: file.to_owned(),
            location,
            kind: String::new(),
            name: String::new(),
            outcome: Outcome::Refused,
            policies: Vec::new(),
            authentications: Vec::new(),
            notes: Vec::new(),
            errors: vec![error],
            name_location: location,
            allowing: Vec::new(),
        }
    }

    /// Holds the policies against the loader once more, as they will be written; nothing is kept of
    /// what has an error.
    pub(super) fn settle(&mut self) {
        let is_something = !self.policies.is_empty() || !self.authentications.is_empty();
        if self.errors.is_empty() && is_something {
            let text = written(&self.policies, &self.authentications);
            let file = PolicyFile {
                name: &self.name,
                text: &text,
            };
            match load_all(&[file], &[]) {
                Ok(loaded) if self.is_read(&loaded) => {}
                Ok(_) => self.fail("it would not be read as it is meant".to_owned()),
                Err(errors) => errors.iter().for_each(|error| self.fail(error.to_string())),
            }
        }
        if !self.errors.is_empty() {
            self.outcome = Outcome::Refused;
            self.policies.clear();
            self.authentications.clear();
            self.notes.clear();
        }
    }

    fn is_read(&self, loaded: &Loaded) -> bool {
        let says = loaded.authentications.iter().map(|found| &found.says);
        says.eq(&self.authentications) && loaded.policies == self.policies
    }

    fn fail(&mut self, message: String) {
        let error = LoadError {
            file: self.file.clone(),
            location: self.location,
            path: String::new(),
            message,
        };
        self.errors.push(error);
    }
}
