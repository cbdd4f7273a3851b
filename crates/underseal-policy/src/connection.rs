//! What a decision is made of beside the request: the connection that it came on.

use std::net::IpAddr;

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

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// The SPIFFE ID that its certificate proved.
    pub principal: Fact<'a>,
    /// Its address; `None` if it is not known, which is decided against the request.
    pub ip: Option<IpAddr>,
}

impl<'a> Peer<'a> {
    /// NAME of a principal whose path begins with `/ns/NAME/`.
    pub(crate) fn namespace(&self) -> Fact<'a> {
        match self.principal {
            Fact::Is(id) => namespace(id).into(),
            other => other,
        }
    }
}

fn namespace(id: &str) -> Option<&str> {
    let (_, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let (namespace, _) = path.strip_prefix("ns/")?.split_once('/')?;
    Some(namespace)
}

/// A connection: whoever opened it is its source, whichever end judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Who opened it.
    pub source: Peer<'a>,
    /// Who accepted it.
    pub destination: Peer<'a>,
    /// The port that it was opened to.
    pub port: u16,
    /// The server name that the source asked for in its ClientHello, in any case.
    pub sni: Fact<'a>,
}
