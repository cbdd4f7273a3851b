//! From the text of files to policies, with every error of every file and its place.

mod authentication;
mod kind;
mod node;
mod reader;
mod suggestion;
mod values;

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

use crate::convert::Note;
use crate::model::{AuthorizationPolicy, RequestAuthentication};
use crate::validate::{Fault, WithoutHttp, faults};
pub(crate) use kind::Kind;
pub(crate) use node::{Node, documents};
pub(crate) use values::{Fields, Misread, Reader, Value};

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
pub struct Location {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

impl Location {
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
    pub location: Location,
    /// What stands there, as in `spec.rules[0].from`; empty where no document can be read.
    pub path: String,
    /// What is wrong with it, and what to write instead where that is known. One line.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { line, column } = self.location;
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
    load_all(files, tcp_ports).map(|loaded| loaded.policies)
}

/// What files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The policies, in their order.
    pub policies: Vec<AuthorizationPolicy>,
    /// Which tokens are believed.
    pub authentications: Vec<Authentication>,
    /// Documents of other kinds, which are no policies.
    pub passed_over: Vec<Note>,
}

/// Which tokens are believed, and which file says so: the files of keys are named from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// [`PolicyFile::name`].
    pub file: String,
    /// What it says.
    pub says: RequestAuthentication,
}

/// As [`load`], and says which documents were passed over because they are of another kind.
///
/// # Errors
/// As [`load`]. Policies of Istio and Cilium are errors: they have to be converted.
pub fn load_all(files: &[PolicyFile<'_>], tcp_ports: &[u16]) -> Result<Loaded, Vec<LoadError>> {
    load_by(files, &|_| WithoutHttp::Among(tcp_ports))
}

/// The ports that everything comes to which is judged, where none of it is HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpPorts {
    /// These and no others.
    Only(Vec<u16>),
    /// Any: which one something comes to is known once it has come, or not at all.
    Any,
}

/// As [`load_all`], where everything that is judged comes to `ports` and none of it is HTTP: a policy
/// `is_for` which that is does not load with a rule that asks for HTTP and could be about one of these
/// ports, by its name or because it names none; of any port, each such rule could be.
///
/// # Errors
/// As [`load_all`].
pub fn load_without_http(
    files: &[PolicyFile<'_>],
    ports: &TcpPorts,
    is_for: impl Fn(&AuthorizationPolicy) -> bool,
) -> Result<Loaded, Vec<LoadError>> {
    let without_http = match ports {
        TcpPorts::Only(ports) => WithoutHttp::Only(ports),
        TcpPorts::Any => WithoutHttp::Everywhere,
    };
    load_by(files, &|policy| match is_for(policy) {
        true => without_http,
        false => WithoutHttp::NOWHERE,
    })
}

/// Where no HTTP is spoken, as far as a policy is concerned.
type Tcp<'f> = &'f dyn Fn(&AuthorizationPolicy) -> WithoutHttp<'f>;

/// The names that were given, and to what: file and line.
type Names = BTreeMap<String, String>;

fn load_by(files: &[PolicyFile<'_>], tcp: Tcp<'_>) -> Result<Loaded, Vec<LoadError>> {
    let mut all = Loaded::default();
    let mut errors = Vec::new();
    let mut names = Names::new();
    for file in files {
        let read = File::read(file, tcp, &mut names);
        all.policies.extend(read.policies);
        all.authentications.extend(read.authentications);
        all.passed_over.extend(read.passed_over);
        errors.extend(read.errors);
    }
    // Without any policy, everything would be allowed.
    let says_something = !all.policies.is_empty() || !all.authentications.is_empty();
    let other = all.passed_over.first().filter(|_| !says_something);
    if let (true, Some(note)) = (errors.is_empty(), other) {
        errors.push(LoadError {
            file: note.file.clone(),
            location: Location::START,
            path: String::new(),
            message: "there is no policy in this file, nor in any other".to_owned(),
        });
    }
    if errors.is_empty() {
        Ok(all)
    } else {
        Err(errors)
    }
}

/// What came of one file.
struct File<'a> {
    name: &'a str,
    policies: Vec<AuthorizationPolicy>,
    authentications: Vec<Authentication>,
    passed_over: Vec<Note>,
    errors: Vec<LoadError>,
}

impl<'a> File<'a> {
    fn read(file: &PolicyFile<'a>, tcp: Tcp<'_>, names: &mut Names) -> Self {
        let mut read = Self {
            name: file.name,
            policies: Vec::new(),
            authentications: Vec::new(),
            passed_over: Vec::new(),
            errors: Vec::new(),
        };
        let documents = match documents(file.text) {
            Ok(documents) => documents,
            Err((location, message)) => {
                read.error(location, "", message);
                return read;
            }
        };
        if documents.is_empty() {
            read.error(Location::START, "", "there is no policy in this file");
        }
        for document in &documents {
            read.value(&Value::document(document), tcp, names);
        }
        read
    }

    fn value(&mut self, value: &Value<'_>, tcp: Tcp<'_>, names: &mut Names) {
        let whose = match Kind::of(value) {
            Kind::Own | Kind::Unknown => return self.policy(value, tcp, names),
            Kind::List(items) => {
                for item in Reader::default().items(&items) {
                    self.value(&item, tcp, names);
                }
                return;
            }
            Kind::Other(kind) | Kind::Denies(kind) => {
                let message = format!("`{kind}` is no policy: passed over");
                let note = Misread::new(value, message).note(self.name);
                return self.passed_over.push(note);
            }
            Kind::OwnTokens => return self.authentication(value, names),
            Kind::Istio | Kind::IstioTokens => "Istio",
            Kind::Cilium { .. } => "Cilium",
        };
        let message = format!("is a policy of {whose}: `underseal policy convert` makes it one");
        let error = Misread::new(value, message).error(self.name);
        self.errors.push(error);
    }

    fn policy(&mut self, value: &Value<'_>, tcp: Tcp<'_>, names: &mut Names) {
        let mut reader = Reader::default();
        let policy = reader.policy(value);
        let locations = reader.locations;
        let before = self.errors.len();
        let errors = reader.faults.into_iter();
        self.errors
            .extend(errors.map(|fault| fault.error(self.name)));
        // A leaf that is wrong is worth reporting even where a key beside it is unknown.
        for fault in faults(&policy, tcp(&policy)) {
            self.fault(value, &locations, fault);
        }
        let name = &policy.metadata.name;
        self.name((name.clone(), name), value, &locations, names);
        self.errors[before..].sort_by_key(|error| error.location);
        self.policies.push(policy);
    }

    fn authentication(&mut self, value: &Value<'_>, names: &mut Names) {
        let mut reader = Reader::default();
        let says = reader.authentication(value);
        let locations = reader.locations;
        let errors = reader.faults.into_iter();
        self.errors
            .extend(errors.map(|fault| fault.error(self.name)));
        let name = &says.metadata.name;
        // Names are of a kind; none of a policy has a space in it.
        self.name((format!("tokens {name}"), name), value, &locations, names);
        self.authentications.push(Authentication {
            file: self.name.to_owned(),
            says,
        });
    }

    /// Notes what has this name, which is `known` by it.
    fn name(
        &mut self,
        (known, name): (String, &str),
        value: &Value<'_>,
        locations: &HashMap<String, Location>,
        names: &mut Names,
    ) {
        if name.is_empty() {
            return;
        }
        let location = locations.get(&value.path_to("metadata.name"));
        let line = location.copied().unwrap_or(Location::START).line;
        match names.entry(known) {
            Entry::Vacant(entry) => {
                entry.insert(format!("{}:{line}", self.name));
            }
            Entry::Occupied(other) => {
                let message = format!("there is another `{name}`, at {}", other.get());
                self.fault(value, locations, Fault::new("metadata.name", message));
            }
        }
    }

    fn error(&mut self, location: Location, path: &str, message: impl Into<String>) {
        self.errors.push(LoadError {
            file: self.name.to_owned(),
            location,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn fault(&mut self, value: &Value<'_>, locations: &HashMap<String, Location>, fault: Fault) {
        let path = value.path_to(&fault.path);
        // What a fault is about was read from the file, so it has a place.
        let location = locations.get(&path).copied().unwrap_or(Location::START);
        self.error(location, &path, fault.message);
    }
}
