//! Request targets (RFC 9112 section 3.2).

use crate::host::Authority;
use crate::refusal::Refusal;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A path that is not yet in normal form, and its query if it has one.
    Path(&'a [u8], Option<&'a [u8]>),
    /// `OPTIONS *`.
    Server,
    /// CONNECT.
    Tunnel,
}

impl<'a> Target<'a> {
    /// Path and query, as they were sent.
    pub(crate) fn path(&self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        match *self {
            Self::Path(path, query) => (Some(path), query),
            Self::Server => (Some(&b"*"[..]), None),
            Self::Tunnel => (None, None),
        }
    }

    /// Refuses a query that is not ASCII: what letters its bytes are is for every program to guess.
    pub(crate) fn with_ascii_query(self) -> Result<Self, Refusal> {
        match self {
            Self::Path(_, Some(query)) if !query.is_ascii() => Err(Refusal::Target),
            target => Ok(target),
        }
    }

    /// Reads `text`; a target that names a host must name the one that the Host field does, if there is
    /// one. What its path and query are made of is not looked at.
    pub(crate) fn read(
        method: &[u8],
        text: &'a [u8],
        host: Option<&Authority<'_>>,
    ) -> Result<Self, Refusal> {
        if method == b"CONNECT" {
            return tunnel(text, host);
        }
        match text {
            [b'/', ..] => path(text),
            b"*" if method == b"OPTIONS" => Ok(Self::Server),
            _ => absolute(text, host),
        }
    }
}

/// CONNECT has a target of its own: host and port, no less.
fn tunnel<'a>(text: &[u8], host: Option<&Authority<'_>>) -> Result<Target<'a>, Refusal> {
    let authority = Authority::read(text).map_err(|_| Refusal::Target)?;
    if authority.port.is_none() {
        return Err(Refusal::Target);
    }
    let agrees = host.is_none_or(|host| authority.is(host, authority.port));
    agrees
        .then_some(Target::Tunnel)
        .ok_or(Refusal::HostDisagrees)
}

fn absolute<'a>(text: &'a [u8], host: Option<&Authority<'_>>) -> Result<Target<'a>, Refusal> {
    const SCHEMES: [(&[u8], u16); 2] = [(b"http://", 80), (b"https://", 443)];
    let scheme = SCHEMES.iter().find(|(scheme, _)| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let (scheme, default_port) = scheme.ok_or(Refusal::Target)?;
    let rest = &text[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let authority = Authority::read(authority).map_err(|_| Refusal::Target)?;
    if host.is_some_and(|host| !authority.is(host, Some(*default_port))) {
        return Err(Refusal::HostDisagrees);
    }
    match rest {
        [] => Ok(Target::Path(b"/", None)),
        [b'/', ..] => path(rest),
        _ => Err(Refusal::Target),
    }
}

/// Cuts off the query, which must be one: no fragment, no space and no control.
pub(crate) fn path(text: &[u8]) -> Result<Target<'_>, Refusal> {
    let end = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
    let (path, query) = text.split_at(end);
    // Every byte is looked at and none branched on: this takes several bytes at a time.
    let in_query = |byte: &u8| (*byte > b' ') & (*byte != 0x7f) & (*byte != b'#');
    if !query.iter().fold(true, |all, byte| all & in_query(byte)) {
        return Err(Refusal::Target);
    }
    Ok(Target::Path(path, query.get(1..)))
}
