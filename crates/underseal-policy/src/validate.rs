//! What the keys of a policy must hold. A policy that is not valid does not load, so that none
//! ever means something else than it says.

use crate::condition::Key;
use crate::model::{AuthorizationPolicy, Condition, Operation, Rule, Source, To};
use crate::pattern::{self, Pattern};
use crate::token::RequestPrincipal;

/// Something in a policy that is wrong: the fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Fault {
    /// What it is about, as in `spec.rules[0].to[1].operation.paths[0]`.
    pub path: String,
    /// What is wrong with it. One line.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// Where something else than HTTP is spoken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WithoutHttp<'a> {
    /// On these ports. What is judged may come to others too: those a rule is about that names none.
    Among(&'a [u16]),
    /// On these ports, and what is judged comes to no others.
    Only(&'a [u16]),
    /// On whatever port something comes to.
    Everywhere,
}

impl WithoutHttp<'_> {
    /// HTTP is spoken everywhere.
    pub(crate) const NOWHERE: Self = Self::Among(&[]);
}

/// Everything that is wrong with what `policy` says. A text that is empty was reported when it was
/// read.
pub(crate) fn faults(policy: &AuthorizationPolicy, without_http: WithoutHttp<'_>) -> Vec<Fault> {
    let mut checks = Checks {
        without_http,
        faults: Vec::new(),
    };
    checks.name(&policy.metadata.name);
    for (index, rule) in policy.spec.rules.iter().enumerate() {
        checks.rule(&format!("spec.rules[{index}]"), rule);
    }
    checks.faults
}

/// A place that a rule is about and where no HTTP is spoken.
#[derive(Clone, Copy, Debug)]
enum Place {
    Port(u16),
    Everywhere,
}

struct Checks<'a> {
    without_http: WithoutHttp<'a>,
    faults: Vec<Fault>,
}

impl Checks<'_> {
    /// Names stand in logs and metrics.
    fn name(&mut self, name: &str) {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
        if name.len() > 253 || !name.bytes().all(good) {
            let message = "a name is up to 253 letters, digits, `-`, `.`, `_` and `/`";
            self.faults.push(Fault::new("metadata.name", message));
        }
    }

    fn rule(&mut self, path: &str, rule: &Rule) {
        let any = [To::default()];
        let to = if rule.to.is_empty() { &any } else { &*rule.to };
        let place = to
            .iter()
            .find_map(|to| self.without_http(rule, &to.operation));
        for (index, from) in rule.from.iter().enumerate() {
            let path = format!("{path}.from[{index}].source");
            self.source(&path, place, &from.source);
        }
        for (index, to) in rule.to.iter().enumerate() {
            let place = self.without_http(rule, &to.operation);
            let path = format!("{path}.to[{index}].operation");
            self.operation(&path, place, &to.operation);
        }
        for (index, condition) in rule.when.iter().enumerate() {
            self.condition(&format!("{path}.when[{index}]"), condition, place);
        }
    }

    fn source(&mut self, path: &str, place: Option<Place>, source: &Source) {
        self.values(path, "principals", &source.principals);
        self.values(path, "notPrincipals", &source.not_principals);
        let tokens = &source.request_principals;
        self.http_values(path, place, "requestPrincipals", tokens);
        let tokens = &source.not_request_principals;
        self.http_values(path, place, "notRequestPrincipals", tokens);
        self.values(path, "namespaces", &source.namespaces);
        self.values(path, "notNamespaces", &source.not_namespaces);
        self.values(path, "ipBlocks", &source.ip_blocks);
        self.values(path, "notIpBlocks", &source.not_ip_blocks);
    }

    fn operation(&mut self, path: &str, place: Option<Place>, operation: &Operation) {
        self.values(path, "ports", &operation.ports);
        self.values(path, "notPorts", &operation.not_ports);
        self.http_values(path, place, "hosts", &operation.hosts);
        self.http_values(path, place, "notHosts", &operation.not_hosts);
        self.http_values(path, place, "methods", &operation.methods);
        self.http_values(path, place, "notMethods", &operation.not_methods);
        self.http_values(path, place, "paths", &operation.paths);
        self.http_values(path, place, "notPaths", &operation.not_paths);
    }

    fn condition(&mut self, path: &str, condition: &Condition, place: Option<Place>) {
        if condition.key.is_empty() {
            return;
        }
        let key = match Key::parse(&condition.key) {
            Ok(key) => key,
            Err(message) => {
                self.faults.push(Fault::new(format!("{path}.key"), message));
                return;
            }
        };
        if let (true, Some(place)) = (key.is_of_http(), place) {
            let path = format!("{path}.key");
            self.faults.push(not_http(path, &condition.key, place));
        }
        let value = |text: &str| key.check(text);
        self.checked(path, "values", &condition.values, value);
        self.checked(path, "notValues", &condition.not_values, value);
    }

    /// Where no HTTP is spoken and `operation`, one of `rule`, is about that.
    fn without_http(&self, rule: &Rule, operation: &Operation) -> Option<Place> {
        let (ports, is_exclusive) = match self.without_http {
            WithoutHttp::Among(ports) => (ports, false),
            WithoutHttp::Only(ports) => (ports, true),
            WithoutHttp::Everywhere => return Some(Place::Everywhere),
        };
        let is_about = |port: &u16| match operation.ports.is_empty() {
            true => is_exclusive && !has(&operation.not_ports, *port) && lets(rule, *port),
            false => has(&operation.ports, *port),
        };
        ports.iter().copied().find(is_about).map(Place::Port)
    }

    fn http_values(&mut self, path: &str, place: Option<Place>, key: &str, values: &[String]) {
        if let (Some(place), false) = (place, values.is_empty()) {
            let path = format!("{path}.{key}");
            self.faults.push(not_http(path, key, place));
        }
        self.values(path, key, values);
    }

    fn values(&mut self, path: &str, key: &str, values: &[String]) {
        self.checked(path, key, values, |text| check_value(key, text));
    }

    fn checked(
        &mut self,
        path: &str,
        key: &str,
        values: &[String],
        check: impl Fn(&str) -> Result<(), String>,
    ) {
        for (index, value) in values.iter().enumerate() {
            if let (false, Err(message)) = (value.is_empty(), check(value)) {
                let path = format!("{path}.{key}[{index}]");
                self.faults.push(Fault::new(path, message));
            }
        }
    }
}

/// Whether `port` is one of `ports`. What is no port is reported where it stands.
fn has(ports: &[String], port: u16) -> bool {
    ports.iter().any(|text| text.parse::<u16>() == Ok(port))
}

/// Whether `rule` can be about `port` by its conditions.
fn lets(rule: &Rule, port: u16) -> bool {
    let of_port = |when: &&Condition| matches!(Key::parse(&when.key), Ok(Key::DestinationPort));
    rule.when.iter().filter(of_port).all(|when| {
        let is_named = when.values.is_empty() || has(&when.values, port);
        is_named && !has(&when.not_values, port)
    })
}

/// Whether `text` can be a value of `key`, a key of a source or an operation.
pub(crate) fn check_value(key: &str, text: &str) -> Result<(), String> {
    match key {
        "principals" | "notPrincipals" => Pattern::principal(text).map(drop),
        "requestPrincipals" | "notRequestPrincipals" => RequestPrincipal::parse(text).map(drop),
        "namespaces" | "notNamespaces" => Pattern::namespace(text).map(drop),
        "ipBlocks" | "notIpBlocks" => pattern::ip_block(text).map(drop),
        "ports" | "notPorts" => pattern::port(text).map(drop),
        "hosts" | "notHosts" => Pattern::host(text).map(drop),
        "methods" | "notMethods" => Pattern::method(text).map(drop),
        "paths" | "notPaths" => Pattern::path(text).map(drop),
        _ => Err(format!("no such key: `{key}`")),
    }
}

fn not_http(path: String, key: &str, place: Place) -> Fault {
    let silent = match place {
        Place::Port(port) => format!("and port {port} does not speak it"),
        Place::Everywhere => "which is spoken on no port".to_owned(),
    };
    Fault::new(path, format!("`{key}` is known of HTTP only, {silent}"))
}
