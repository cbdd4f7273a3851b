//! One key of a rule with its values, and whether a request fulfils it.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use underseal_http::{Request, host};

use crate::condition::Key;
use crate::connection::{Connection, Fact};
use crate::pattern::Pattern;

/// What a rule is tried on. A connection that does not speak HTTP has no request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) connection: &'a Connection<'a>,
    pub(crate) request: Option<&'a Request<'a>>,
}

/// The answer of a test. `Unknown` is what cannot be told, or is told in two ways: it is decided
/// against whoever sent the request, so ALLOW takes it for no and DENY for yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::Yes } else { Self::No }
    }
}

impl Truth {
    fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// What is compared with patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    SourcePrincipal,
    SourceNamespace,
    DestinationPrincipal,
    Sni,
    Host,
    Method,
    Path,
    Query,
    Header(Box<[u8]>),
}

/// What the values of a key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Texts(Subject, Vec<Pattern>),
    SourceBlocks(Vec<IpNet>),
    DestinationBlocks(Vec<IpNet>),
    Ports(Vec<u16>),
}

/// A key and its values.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// As a decision names it: `source.principals`, `request.headers[x-env]`.
    pub(crate) attribute: Cow<'static, str>,
    /// Whether the values are those that it must not have.
    pub(crate) negated: bool,
    pub(crate) values: Values,
}

/// What a request has to compare with patterns.
enum Found<'a> {
    Unknown,
    Absent,
    One(&'a [u8]),
    /// A text whose case does not matter.
    AnyCase(&'a [u8]),
    /// A host with its port, and the host alone.
    Host(&'a [u8], &'a [u8]),
    Fields(&'a Request<'a>, &'a [u8]),
}

impl Subject {
    /// The subject of a condition's key, if it is one of texts.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        match key {
            Key::Header(name) => Some(Self::Header(name.clone())),
            Key::SourceNamespace => Some(Self::SourceNamespace),
            Key::SourcePrincipal => Some(Self::SourcePrincipal),
            Key::DestinationPrincipal => Some(Self::DestinationPrincipal),
            Key::Sni => Some(Self::Sni),
            Key::Query => Some(Self::Query),
            Key::SourceIp | Key::DestinationIp | Key::DestinationPort => None,
        }
    }

    fn find<'a>(&'a self, facts: &Facts<'a>) -> Found<'a> {
        let connection = facts.connection;
        let known = |fact: Fact<'a>| match fact {
            Fact::Is(text) => Found::One(text.as_bytes()),
            Fact::Absent => Found::Absent,
            Fact::Unknown => Found::Unknown,
        };
        match self {
            Self::SourcePrincipal => return known(connection.source.principal),
            Self::SourceNamespace => return known(connection.source.namespace()),
            Self::DestinationPrincipal => return known(connection.destination.principal),
            Self::Sni => {
                return match connection.sni {
                    Fact::Is(name) => Found::AnyCase(host::without_root(name).as_bytes()),
                    other => known(other),
                };
            }
            Self::Host | Self::Method | Self::Path | Self::Query | Self::Header(_) => {}
        }
        let Some(request) = facts.request else {
            return Found::Unknown;
        };
        match self {
            Self::Host => Found::host(request.authority(), request.host()),
            Self::Query => request.query().map_or(Found::Absent, Found::One),
            Self::Method => Found::One(request.method()),
            Self::Header(name) => Found::Fields(request, name),
            _ => request.path().map_or(Found::Unknown, Found::One),
        }
    }

    /// The text, if there is exactly one that every pattern is compared with.
    pub(crate) fn text<'a>(&'a self, facts: &Facts<'a>) -> Option<&'a [u8]> {
        match self.find(facts) {
            Found::One(text) | Found::Host(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether a test of it may be neither yes nor no.
    pub(crate) fn is_unknown(&self, facts: &Facts<'_>) -> bool {
        matches!(self.find(facts), Found::Unknown | Found::Host(..))
    }

    /// What a person is told that the request has.
    pub(crate) fn shown(&self, facts: &Facts<'_>) -> String {
        match self.find(facts) {
            Found::Unknown => "not known".to_owned(),
            Found::Absent => "none".to_owned(),
            Found::One(text) | Found::AnyCase(text) | Found::Host(text, _) => {
                String::from_utf8_lossy(text).into_owned()
            }
            Found::Fields(request, name) => {
                let lines = request.header(name).map(String::from_utf8_lossy);
                let lines: Vec<_> = lines.collect();
                if lines.is_empty() {
                    "none".to_owned()
                } else {
                    lines.join(" | ")
                }
            }
        }
    }
}

impl<'a> Found<'a> {
    fn host(with_port: &'a [u8], host: &'a [u8]) -> Self {
        if with_port.len() == host.len() {
            Self::One(host)
        } else {
            Self::Host(with_port, host)
        }
    }
}

impl Test {
    /// Whether the request fulfils it.
    pub(crate) fn truth(&self, facts: &Facts<'_>) -> Truth {
        let truth = match &self.values {
            Values::Texts(subject, patterns) => texts(&subject.find(facts), patterns),
            Values::SourceBlocks(blocks) => in_blocks(facts.connection.source.ip, blocks),
            Values::DestinationBlocks(blocks) => in_blocks(facts.connection.destination.ip, blocks),
            Values::Ports(ports) => ports.contains(&facts.connection.port).into(),
        };
        if self.negated { truth.negated() } else { truth }
    }

    /// The values, as a person reads them.
    pub(crate) fn wanted(&self) -> String {
        fn list<T: ToString>(values: &[T]) -> String {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            values.join(", ")
        }
        match &self.values {
            Values::Texts(_, patterns) => list(patterns),
            Values::SourceBlocks(blocks) | Values::DestinationBlocks(blocks) => list(blocks),
            Values::Ports(ports) => list(ports),
        }
    }

    /// What the request has, as a person reads it.
    pub(crate) fn found(&self, facts: &Facts<'_>) -> String {
        let address = |ip: Option<IpAddr>| match ip {
            Some(ip) => ip.to_canonical().to_string(),
            None => "not known".to_owned(),
        };
        match &self.values {
            Values::Texts(subject, _) => subject.shown(facts),
            Values::SourceBlocks(_) => address(facts.connection.source.ip),
            Values::DestinationBlocks(_) => address(facts.connection.destination.ip),
            Values::Ports(_) => facts.connection.port.to_string(),
        }
    }
}

fn texts(found: &Found<'_>, patterns: &[Pattern]) -> Truth {
    let matches = |text: &[u8]| patterns.iter().any(|pattern| pattern.matches(text));
    match found {
        Found::Unknown => Truth::Unknown,
        Found::Absent => Truth::No,
        Found::One(text) => matches(text).into(),
        Found::AnyCase(text) => {
            let matches = |pattern: &Pattern| pattern.matches_any_case(text);
            patterns.iter().any(matches).into()
        }
        // A pattern without port says nothing of a port: nobody knows whether it was meant.
        Found::Host(with_port, _) if matches(with_port) => Truth::Yes,
        Found::Host(_, host) if matches(host) => Truth::Unknown,
        Found::Host(..) => Truth::No,
        Found::Fields(request, name) => {
            let mut lines = request.header(name);
            let Some(first) = lines.next() else {
                return Truth::No;
            };
            let truth = matches(first);
            if lines.next().is_none() {
                return truth.into();
            }
            // Which of several lines a backend takes, or whether it joins them, nobody knows.
            let joined = patterns.iter().any(|pattern| {
                let separator: &[u8] = if &**name == b"cookie" { b"; " } else { b"," };
                pattern.matches_joined(request.header(name), separator)
            });
            if joined == truth && request.header(name).all(|line| matches(line) == truth) {
                truth.into()
            } else {
                Truth::Unknown
            }
        }
    }
}

fn in_blocks(ip: Option<IpAddr>, blocks: &[IpNet]) -> Truth {
    match ip.map(|ip| ip.to_canonical()) {
        Some(ip) => blocks.iter().any(|block| block.contains(&ip)).into(),
        None => Truth::Unknown,
    }
}
