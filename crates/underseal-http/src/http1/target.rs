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

    /// Reads `text`; a target that names a host must name the one that the Host field does.
    pub(crate) fn read(
        method: &[u8],
        text: &'a [u8],
        host: &Authority<'_>,
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
fn tunnel<'a>(text: &[u8], host: &Authority<'_>) -> Result<Target<'a>, Refusal> {
    let authority = Authority::read(text).map_err(|_| Refusal::Target)?;
    if authority.port.is_none() {
        return Err(Refusal::Target);
    }
    let agrees = authority.is(host, authority.port);
    agrees
        .then_some(Target::Tunnel)
        .ok_or(Refusal::HostDisagrees)
}

fn absolute<'a>(text: &'a [u8], host: &Authority<'_>) -> Result<Target<'a>, Refusal> {
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
    if !authority.is(host, Some(*default_port)) {
        return Err(Refusal::HostDisagrees);
    }
    match rest {
        [] => Ok(Target::Path(b"/", None)),
        [b'/', ..] => path(rest),
        _ => Err(Refusal::Target),
    }
}

/// Cuts off the query, which must be one: no fragment, nothing that is not ASCII and visible.
pub(crate) fn path(text: &[u8]) -> Result<Target<'_>, Refusal> {
    let end = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
    let (path, query) = text.split_at(end);
    // Every byte is looked at and none branched on: this takes several bytes at a time.
    let in_query = |byte: &u8| byte.is_ascii_graphic() & (*byte != b'#');
    if !query.iter().fold(true, |all, byte| all & in_query(byte)) {
        return Err(Refusal::Target);
    }
    Ok(Target::Path(path, query.get(1..)))
}
