//! What a decision is made of: the connection, and the request on it if HTTP is spoken there.

use std::net::IpAddr;

use crate::host::Normal;

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

/// An HTTP request, as rules see it. Only a head that was read and found unambiguous becomes one:
/// see [`http1::Head::request`](crate::http1::Head::request) and [`http2::read`](crate::http2::read).
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) path: Option<&'a [u8]>,
    /// What stands behind the `?` of the target.
    pub(crate) query: Option<&'a [u8]>,
    pub(crate) host: Normal<'a>,
    pub(crate) fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// The method, as it was sent.
    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The path in normal form, without query; `None` for CONNECT, which has none.
    pub fn path(&self) -> Option<&'a [u8]> {
        self.path
    }

    /// The query as it was sent; `None` if the target has no `?`.
    pub fn query(&self) -> Option<&'a [u8]> {
        self.query
    }

    /// The host in normal form, without port: in lower case, without a dot at its end, an IPv6
    /// address as RFC 5952 writes it.
    pub fn host(&self) -> &'a [u8] {
        &self.host.text[..self.host.host_len]
    }

    /// The host in normal form, and its port if one was written.
    pub fn authority(&self) -> &'a [u8] {
        self.host.text
    }

    /// All field lines, name and value as they were sent, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let fields = self.fields;
        (0..fields.len()).map(move |index| fields.get(index))
    }

    /// The values of all field lines named `name` (lower case), in their order.
    pub fn header<'n>(
        &self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        let fields = self.fields;
        (0..fields.len()).filter_map(move |index| {
            let (field, value) = fields.get(index);
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Where a field line stands in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: (u16, u16),
    pub(crate) value: (u16, u16),
}

/// The field lines of a request, wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fields<'a> {
    Head(&'a [u8], &'a [Span]),
    Pairs(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Head(_, spans) => spans.len(),
            Self::Pairs(pairs) => pairs.len(),
        }
    }

    /// Name and value of a field line; `index` is less than [`Self::len`].
    pub(crate) fn get(&self, index: usize) -> (&'a [u8], &'a [u8]) {
        match self {
            Self::Head(head, spans) => {
                let part = |(from, to): (u16, u16)| &head[usize::from(from)..usize::from(to)];
                (part(spans[index].name), part(spans[index].value))
            }
            Self::Pairs(pairs) => pairs[index],
        }
    }
}
