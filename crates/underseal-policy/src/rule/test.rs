//! One key of a rule with its values, and whether a request fulfils it.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use underseal_http::{Request, host};

use crate::condition::Key;
use crate::connection::{Connection, Fact, account};
use crate::pattern::Pattern;
use crate::token::{Claims, RequestPrincipal, Token, any_text};

/// What a rule is tried on. A connection that does not speak HTTP has no request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) connection: &'a Connection<'a>,
    pub(crate) request: Option<&'a Request<'a>>,
}

impl<'a> Facts<'a> {
    fn token(&self) -> Token<'a> {
        match self.request {
            Some(_) => self.connection.token,
            None => Token::Unknown,
        }
    }
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
    SourceTrustDomain,
    SourceServiceAccount,
    SourceLabel(Box<str>),
    DestinationPrincipal,
    DestinationLabel(Box<str>),
    Sni,
    Transport,
    Host,
    Method,
    Path,
    Query,
    Header(Box<[u8]>),
    /// A claim of the token, by the names that lead to it.
    Claim(Box<[Box<str>]>),
}

/// What the values of a key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Texts(Subject, Vec<Pattern>),
    RequestPrincipals(Vec<RequestPrincipal>),
    SourceBlocks(Vec<IpNet>),
    RemoteBlocks(Vec<IpNet>),
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
    /// A SPIFFE ID, whose scheme is no end of it.
    Id(&'a [u8]),
    /// A text whose case does not matter.
    AnyCase(&'a [u8]),
    /// A host with its port, and the host alone.
    Host(&'a [u8], &'a [u8]),
    Fields(&'a Request<'a>, &'a [u8]),
    /// A namespace and an account of it.
    Account(&'a str, &'a str),
    Claim(&'a serde_json::Value),
}

impl Subject {
    /// The subject of a condition's key, if it is one of texts.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        match key {
            Key::Header(name) => Some(Self::Header(name.clone())),
            Key::SourceNamespace => Some(Self::SourceNamespace),
            Key::SourcePrincipal => Some(Self::SourcePrincipal),
            Key::SourceTrustDomain => Some(Self::SourceTrustDomain),
            Key::SourceServiceAccount => Some(Self::SourceServiceAccount),
            Key::SourceLabel(name) => Some(Self::SourceLabel(name.clone())),
            Key::DestinationLabel(name) => Some(Self::DestinationLabel(name.clone())),
            Key::Claim(names) => Some(Self::Claim(names.clone())),
            Key::DestinationPrincipal => Some(Self::DestinationPrincipal),
            Key::Sni => Some(Self::Sni),
            Key::Transport => Some(Self::Transport),
            Key::Query => Some(Self::Query),
            Key::SourceIp
            | Key::SourceRemoteIp
            | Key::DestinationIp
            | Key::DestinationPort
            | Key::RequestPrincipal => None,
        }
    }

    fn find<'a>(&'a self, facts: &Facts<'a>) -> Found<'a> {
        let connection = facts.connection;
        let known = |fact: Fact<'a>| match fact {
            Fact::Is(text) => Found::One(text.as_bytes()),
            Fact::Absent => Found::Absent,
            Fact::Unknown => Found::Unknown,
        };
        let id = |fact: Fact<'a>| match fact {
            Fact::Is(text) => Found::Id(text.as_bytes()),
            other => known(other),
        };
        match self {
            Self::SourcePrincipal => return id(connection.source.principal),
            Self::SourceNamespace => return known(connection.source.namespace()),
            Self::SourceTrustDomain => return known(connection.source.trust_domain()),
            Self::SourceServiceAccount => {
                let path = connection.source.service_account();
                let parts = path.known().and_then(account);
                return parts.map_or_else(
                    || known(path),
                    |(namespace, account)| Found::Account(namespace, account),
                );
            }
            Self::SourceLabel(name) => return known(connection.source.label(name)),
            Self::DestinationPrincipal => return id(connection.destination.principal),
            Self::DestinationLabel(name) => return known(connection.destination.label(name)),
            Self::Sni => {
                return match connection.sni {
                    Fact::Is(name) => Found::AnyCase(host::without_root(name).as_bytes()),
                    other => known(other),
                };
            }
            Self::Transport => {
                let transport = connection.transport.known();
                return known(transport.map_or(Fact::Unknown, Fact::Is));
            }
            Self::Host
            | Self::Method
            | Self::Path
            | Self::Query
            | Self::Header(_)
            | Self::Claim(_) => {}
        }
        let Some(request) = facts.request else {
            return Found::Unknown;
        };
        match self {
            Self::Host => Found::host(request.authority(), request.host()),
            Self::Query => request.query().map_or(Found::Absent, Found::One),
            Self::Method => Found::One(request.method()),
            Self::Header(name) => Found::Fields(request, name),
            Self::Claim(names) => match connection.token {
                Token::Unknown => Found::Unknown,
                Token::Absent => Found::Absent,
                Token::Is(claims) => claims.find(names).map_or(Found::Absent, Found::Claim),
            },
            _ => request.path().map_or(Found::Unknown, Found::One),
        }
    }

    /// The text, if there is exactly one that every pattern is compared with.
    pub(crate) fn text<'a>(&'a self, facts: &Facts<'a>) -> Option<&'a [u8]> {
        match self.find(facts) {
            Found::One(text) | Found::Id(text) | Found::Host(text, _) => Some(text),
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
            Found::One(text) | Found::Id(text) | Found::AnyCase(text) | Found::Host(text, _) => {
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
            Found::Account(namespace, account) => format!("{namespace}/{account}"),
            Found::Claim(claim) => claim.to_string(),
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
            Values::RequestPrincipals(patterns) => match facts.token() {
                Token::Unknown => Truth::Unknown,
                Token::Absent => Truth::No,
                Token::Is(claims) => matches_one(claims, patterns).into(),
            },
            Values::SourceBlocks(blocks) => in_blocks(facts.connection.source.ip, blocks),
            Values::RemoteBlocks(blocks) => in_blocks(facts.connection.remote_ip, blocks),
            Values::DestinationBlocks(blocks) => in_blocks(facts.connection.destination.ip, blocks),
            Values::Ports(_) if facts.connection.port == 0 => Truth::Unknown,
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
            Values::RequestPrincipals(patterns) => list(patterns),
            Values::SourceBlocks(blocks)
            | Values::RemoteBlocks(blocks)
            | Values::DestinationBlocks(blocks) => list(blocks),
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
            Values::RequestPrincipals(_) => match facts.token() {
                Token::Unknown => "not known".to_owned(),
                Token::Absent => "none".to_owned(),
                Token::Is(claims) => claims.to_string(),
            },
            Values::SourceBlocks(_) => address(facts.connection.source.ip),
            Values::RemoteBlocks(_) => address(facts.connection.remote_ip),
            Values::DestinationBlocks(_) => address(facts.connection.destination.ip),
            Values::Ports(_) if facts.connection.port == 0 => "not known".to_owned(),
            Values::Ports(_) => facts.connection.port.to_string(),
        }
    }
}

fn texts(found: &Found<'_>, patterns: &[Pattern]) -> Truth {
    let matches = |text: &[u8]| patterns.iter().any(|pattern| pattern.matches(text));
    match found {
        Found::Unknown => Truth::Unknown,
        Found::Absent => Truth::No,
        Found::One(text) => one(patterns, text),
        Found::Id(id) => {
            let rest = id.strip_prefix(b"spiffe://").unwrap_or(id);
            let is = |pattern: &Pattern| match pattern {
                Pattern::Suffix(_) => pattern.matches(rest),
                _ => pattern.matches(id),
            };
            patterns.iter().any(is).into()
        }
        Found::AnyCase(text) => {
            let matches = |pattern: &Pattern| pattern.matches_any_case(text);
            patterns.iter().any(matches).into()
        }
        // A pattern without port says nothing of a port: nobody knows whether it was meant.
        Found::Host(with_port, _) if matches(with_port) => Truth::Yes,
        Found::Host(_, host) if matches(host) => Truth::Unknown,
        Found::Host(..) => Truth::No,
        Found::Account(namespace, account) => {
            let parts = [namespace.as_bytes(), account.as_bytes()].into_iter();
            let is = |pattern: &Pattern| pattern.matches_joined(parts.clone(), b"/");
            patterns.iter().any(is).into()
        }
        Found::Claim(claim) => {
            // What is there and empty is nothing to Istio.
            any_text(claim, |text| !text.is_empty() && matches(text.as_bytes())).into()
        }
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

/// Of a path that a template matches with bytes that its operators do not take everywhere, nobody
/// knows whether it was meant.
fn one(patterns: &[Pattern], text: &[u8]) -> Truth {
    let mut truth = Truth::No;
    for pattern in patterns {
        if pattern.matches(text) {
            if !pattern.is_doubtful(text) {
                return Truth::Yes;
            }
            truth = Truth::Unknown;
        }
    }
    truth
}

fn matches_one(claims: &Claims, patterns: &[RequestPrincipal]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(claims))
}

fn in_blocks(ip: Option<IpAddr>, blocks: &[IpNet]) -> Truth {
    match ip.map(|ip| ip.to_canonical()) {
        Some(ip) => blocks.iter().any(|block| block.contains(&ip)).into(),
        None => Truth::Unknown,
    }
}
