//! What a decision is made of beside the request: the connection that it came on.

use std::net::IpAddr;

use crate::matcher::Labels;
use crate::token::Token;

/// What is known of something that a connection may have or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fact<'a> {
    /// Nobody knows: it is decided against the request.
    #[default]
    Unknown,
    /// It is known that there is none.
    Absent,
    /// This.
    Is(&'a str),
}

impl<'a> Fact<'a> {
    /// What it is, if that is known.
    pub fn known(self) -> Option<&'a str> {
        match self {
            Self::Is(text) => Some(text),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// What is certainly there or certainly not.
impl<'a> From<Option<&'a str>> for Fact<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Is)
    }
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Nobody knows: it is decided against the request.
    #[default]
    Unknown,
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// As rules say it, if it is known.
    pub const fn known(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Tcp => Some("tcp"),
            Self::Udp => Some("udp"),
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// The SPIFFE ID that its certificate proved.
    pub principal: Fact<'a>,
    /// Its address; `None` if it is not known, which is decided against the request.
    pub ip: Option<IpAddr>,
    /// The labels of its workload; `None` if they are not known, which is decided against the
    /// request.
    pub labels: Option<&'a Labels>,
}

impl<'a> Peer<'a> {
    /// NAME of a principal whose path begins with `/ns/NAME/`. Which of several is meant, nobody
    /// knows.
    pub(crate) fn namespace(&self) -> Fact<'a> {
        self.of_principal(|id| {
            let (_, path) = id.split_once("/ns/")?;
            let (namespace, _) = path.split_once('/')?;
            let is_first = id.split('/').nth(1) == Some("ns");
            // An account of the namespace `ns` is one, and whatever else is named so.
            let is_only = !path.contains("/ns/") && !path.starts_with("ns/");
            let is_clear = is_only || account(path).is_some();
            Some((is_first && is_clear).then_some(namespace))
        })
    }

    /// DOMAIN of a principal `DOMAIN/…`.
    pub(crate) fn trust_domain(&self) -> Fact<'a> {
        self.of_principal(|id| Some(Some(id.split_once('/')?.0)))
    }

    /// `NAMESPACE/sa/ACCOUNT` of `/ns/NAMESPACE/sa/ACCOUNT`, the whole path of a principal. Whether one that holds more is
    /// meant, nobody knows.
    pub(crate) fn service_account(&self) -> Fact<'a> {
        self.of_principal(|id| {
            let (start, path) = id.split_once("/ns/")?;
            path.contains("/sa/").then_some(())?;
            let is_whole = account(path).is_some() && !start.contains('/');
            Some(is_whole.then_some(path))
        })
    }

    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Fact<'a> {
        match self.labels {
            Some(labels) => labels.get(name).map(String::as_str).into(),
            None => Fact::Unknown,
        }
    }

    /// What the principal, without its scheme, tells: `None` if it tells nothing, and `Some(None)` if
    /// it can be read in several ways.
    fn of_principal(&self, tells: impl Fn(&'a str) -> Option<Option<&'a str>>) -> Fact<'a> {
        let id = match self.principal {
            Fact::Is(id) => id,
            other => return other,
        };
        match id.strip_prefix("spiffe://").and_then(tells) {
            None => Fact::Absent,
            Some(Some(text)) => Fact::Is(text),
            Some(None) => Fact::Unknown,
        }
    }
}

/// Namespace and account of `NAMESPACE/sa/ACCOUNT`.
pub(crate) fn account(path: &str) -> Option<(&str, &str)> {
    let (namespace, account) = path.split_once("/sa/")?;
    let is_segment = |text: &str| !text.is_empty() && !text.contains('/');
    (is_segment(namespace) && is_segment(account)).then_some((namespace, account))
}

/// A connection: whoever opened it is its source, whichever end judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Who opened it.
    pub source: Peer<'a>,
    /// Who accepted it.
    pub destination: Peer<'a>,
    /// The port that it was opened to; 0 where nobody knows, or there is none.
    pub port: u16,
    /// What carries it.
    pub transport: Transport,
    /// The server name that the source asked for in its ClientHello, in any case.
    pub sni: Fact<'a>,
    /// Who sent the request that is judged, behind proxies that are trusted to tell it; without one, whoever
    /// opened the connection. `None` where nobody knows.
    pub remote_ip: Option<IpAddr>,
    /// The token of the request on it that is judged.
    pub token: Token<'a>,
}
