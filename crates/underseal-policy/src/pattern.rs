//! The patterns that texts are matched with, and what each kind of text must look like.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::path::{PathOptions, is_normal};
use crate::template::Template;

/// How long a pattern may be, in bytes: longer than any path or SPIFFE ID that is accepted.
const MAX_LEN: usize = 8192;

/// Istio's patterns of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*`: whatever it is, if it is there.
    Present,
    /// The text itself.
    Exact(Box<[u8]>),
    /// `text*`.
    Prefix(Box<[u8]>),
    /// `*text`.
    Suffix(Box<[u8]>),
    /// A path with `{*}` or `{**}` in it.
    Template(Template),
}

impl Pattern {
    /// Any text, with `*` at one end or alone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.len() > MAX_LEN {
            return Err(format!("is longer than {MAX_LEN} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        let bytes = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        let pattern = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Present,
            (Some(rest), _) if !rest.contains('*') => Self::Suffix(bytes(rest)),
            (_, Some(rest)) if !rest.contains('*') => Self::Prefix(bytes(rest)),
            (None, None) if !text.contains('*') => Self::Exact(bytes(text)),
            _ => return Err("`*` may stand at the beginning or at the end, once".to_owned()),
        };
        Ok(pattern)
    }

    /// A SPIFFE ID, or a part of one.
    pub(crate) fn principal(text: &str) -> Result<Self, String> {
        const SCHEME: &[u8] = b"spiffe://";
        let pattern = Self::parse(text)?;
        match &pattern {
            Self::Exact(id) => check_spiffe_id(id)?,
            Self::Prefix(id) if !id.starts_with(SCHEME) && !SCHEME.starts_with(id) => {
                return Err(format!("a SPIFFE ID begins with `spiffe://`: `{text}`"));
            }
            _ => {}
        }
        Ok(pattern)
    }

    /// A host name, without port. Its case does not matter.
    pub(crate) fn host(text: &str) -> Result<Self, String> {
        let name = text.trim_matches('*');
        if name.contains(':') && !(name.starts_with('[') && name.ends_with(']')) {
            return Err(format!(
                "hosts are matched without port: `{text}`; see `ports`"
            ));
        }
        if name.contains(['/', ' ', '@', '?', '#']) || !name.is_ascii() {
            return Err(format!("is not a host name: `{text}`"));
        }
        Self::parse(&text.to_ascii_lowercase())
    }

    /// A method.
    pub(crate) fn method(text: &str) -> Result<Self, String> {
        if text.contains(|c: char| c.is_ascii_lowercase()) {
            let upper = text.to_ascii_uppercase();
            return Err(format!(
                "methods are case-sensitive: write `{upper}` for `{text}`"
            ));
        }
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !text.bytes().all(is_token) {
            return Err(format!("is not a method: `{text}`"));
        }
        Self::parse(text)
    }

    /// A path, or a template of one.
    pub(crate) fn path(text: &str) -> Result<Self, String> {
        if text.contains(['?', '#']) {
            return Err(format!("paths are matched without query: `{text}`"));
        }
        if text.contains(['{', '}']) {
            return Template::parse(text).map(Self::Template);
        }
        let pattern = Self::parse(text)?;
        // A pattern that no normalised path has would never match, and a DENY would say nothing.
        let example = match &pattern {
            Self::Present | Self::Template(_) => return Ok(pattern),
            Self::Exact(path) => path.to_vec(),
            Self::Prefix(path) => [path, &b"x"[..]].concat(),
            Self::Suffix(path) => [&b"/x"[..], path].concat(),
        };
        check_normal(&example, text)?;
        Ok(pattern)
    }

    /// Whether `text` is what the pattern says.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Template(template) => template.matches(text),
        }
    }
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::Present => f.write_str("*"),
            Self::Exact(exact) => f.write_str(&text(exact)),
            Self::Prefix(prefix) => write!(f, "{}*", text(prefix)),
            Self::Suffix(suffix) => write!(f, "*{}", text(suffix)),
            Self::Template(template) => template.fmt(f),
        }
    }
}

/// Refuses a path that is never the result of normalisation.
pub(crate) fn check_normal(path: &[u8], written: &str) -> Result<(), String> {
    if !path.starts_with(b"/") {
        return Err(format!("a path begins with `/` or `*`: `{written}`"));
    }
    match is_normal(path, &PathOptions::LENIENT) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "is not in normal form and would never match: `{written}`; decode unreserved \
             characters, write %XX in capitals, resolve `.` and `..`, merge slashes"
        )),
        Err(fault) => Err(format!("would never match: {fault}: `{written}`")),
    }
}

/// The grammar of SPIFFE-ID, section 2.
fn check_spiffe_id(id: &[u8]) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(id).into_owned();
    let Some(rest) = id.strip_prefix(b"spiffe://") else {
        return Err(format!(
            "a SPIFFE ID begins with `spiffe://`: `{}`",
            shown()
        ));
    };
    let mut parts = rest.split(|b| *b == b'/');
    let domain = parts.next().unwrap_or_default();
    let in_domain = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if domain.is_empty() || !domain.iter().all(in_domain) {
        return Err(format!(
            "a trust domain is lower case letters, digits, `.`, `-` and `_`: `{}`",
            shown()
        ));
    }
    let in_segment = |b: &u8| b.is_ascii_alphanumeric() || b".-_".contains(b);
    let is_segment = |segment: &[u8]| {
        !segment.is_empty() && segment != b"." && segment != b".." && segment.iter().all(in_segment)
    };
    if !parts.all(is_segment) {
        return Err(format!("is not a SPIFFE ID: `{}`", shown()));
    }
    Ok(())
}

/// A port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|port| *port != 0 && digits);
    port.ok_or_else(|| format!("expected a port from 1 to 65535: `{text}`"))
}

/// An address or a block of them.
pub(crate) fn ip_block(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let Ok(block) = text.parse::<IpNet>() else {
        return Err(format!(
            "expected an address or a block like 10.1.0.0/16: `{text}`"
        ));
    };
    if block.addr() == block.network() {
        return Ok(block);
    }
    let network = block.trunc();
    Err(format!(
        "has bits beyond its prefix: write `{network}` for `{text}`"
    ))
}
