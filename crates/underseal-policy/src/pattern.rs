//! The patterns that texts are matched with, and what each kind of text must look like.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use underseal_http::{PathOptions, host, is_normal};

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
        const SCHEME: &str = "spiffe://";
        let pattern = Self::parse(text)?;
        match &pattern {
            Self::Exact(_) => check_spiffe_id(text)?,
            Self::Prefix(_) => {
                let start = text.trim_end_matches('*');
                if !start.starts_with(SCHEME) && !SCHEME.starts_with(start) {
                    return Err(format!("a SPIFFE ID begins with `{SCHEME}`: `{text}`"));
                }
                let rest = start.strip_prefix(SCHEME).unwrap_or_default();
                check_spiffe_id(&format!("{SCHEME}{rest}x"))?;
            }
            Self::Suffix(_) => {
                let end = text.trim_start_matches('*');
                let examples = [format!("{SCHEME}x{end}"), format!("{SCHEME}x/x{end}")];
                if !examples.iter().any(|id| check_spiffe_id(id).is_ok()) {
                    return Err(format!("no SPIFFE ID ends so: `{text}`"));
                }
            }
            Self::Present | Self::Template(_) => {}
        }
        Ok(pattern)
    }

    /// A namespace: a segment of a SPIFFE ID, or a part of one.
    pub(crate) fn namespace(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        let part = text.trim_matches('*');
        if !part.bytes().all(in_segment) || part == "." || part == ".." {
            return Err(format!("no SPIFFE ID holds such a namespace: `{text}`"));
        }
        Ok(pattern)
    }

    /// A trust domain, or a part of one.
    pub(crate) fn trust_domain(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        if !text.trim_matches('*').bytes().all(in_domain) {
            return Err(format!("{DOMAIN}: `{text}`"));
        }
        Ok(pattern)
    }

    /// `NAMESPACE/ACCOUNT`, whole.
    pub(crate) fn service_account(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let is_account = parts.is_some_and(|(namespace, account)| {
            let mut parts = [namespace, account].into_iter();
            parts.all(|part| !part.is_empty() && part.bytes().all(in_segment))
        });
        if !is_account {
            return Err(format!("expected NAMESPACE/ACCOUNT: `{text}`"));
        }
        Self::parse(text)
    }

    /// A host, and its port if one has to be written. Brought into the normal form that hosts of
    /// requests have.
    pub(crate) fn host(text: &str) -> Result<Self, String> {
        Self::normalised(text, host::normal)
            .map_err(|()| format!("is not a host name, or a part of one: `{text}`"))
    }

    /// A server name, in its normal form.
    pub(crate) fn server_name(text: &str) -> Result<Self, String> {
        Self::normalised(text, host::normal_server_name)
            .map_err(|()| format!("is not a server name, or a part of one: `{text}`"))
    }

    /// What carries a connection.
    pub(crate) fn transport(text: &str) -> Result<Self, String> {
        match text {
            "tcp" | "udp" => Self::parse(text),
            _ => Err(format!("expected `tcp` or `udp`: `{text}`")),
        }
    }

    /// The pattern whose text, or a text that it matches, `normal` brings into normal form.
    fn normalised(text: &str, normal: impl Fn(&str) -> Option<String>) -> Result<Self, ()> {
        let text = text.to_ascii_lowercase();
        let bytes = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        match Self::parse(&text).map_err(drop)? {
            Self::Exact(_) => Ok(Self::Exact(bytes(&normal(&text).ok_or(())?))),
            Self::Prefix(_) => {
                let start = text.trim_end_matches('*');
                let examples = ["x", "1", ""].map(|end| normal(&format!("{start}{end}")));
                let starts = |example: &Option<String>| {
                    let example = example.as_ref();
                    example.is_some_and(|example| example.starts_with(start))
                };
                let exists = examples.iter().any(starts);
                exists.then(|| Self::Prefix(bytes(start))).ok_or(())
            }
            Self::Suffix(_) => {
                let example = text.replacen('*', "x", 1);
                let end = normal(&example).ok_or(())?.split_off(1);
                (!end.is_empty())
                    .then(|| Self::Suffix(bytes(&end)))
                    .ok_or(())
            }
            other => Ok(other),
        }
    }

    /// The value of a field, which neither begins nor ends with white space (RFC 9110 section 5.5).
    pub(crate) fn field_value(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(format!(
                "no value of a field begins or ends with white space: `{text}`"
            ));
        }
        Ok(pattern)
    }

    /// `*`, of what is there or not and is not looked into.
    pub(crate) fn presence(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            Self::Present => Ok(Self::Present),
            _ => Err(format!(
                "only `*` is a value, whatever it is: a query is not looked into: `{text}`"
            )),
        }
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

    /// Whether `text`, which matches, may be another than what was meant.
    pub(crate) fn is_doubtful(&self, text: &[u8]) -> bool {
        match self {
            Self::Template(template) => template.is_doubtful(text),
            _ => false,
        }
    }

    /// As [`Self::matches`], of texts whose case does not matter. The pattern is in lower case.
    pub(crate) fn matches_any_case(&self, text: &[u8]) -> bool {
        let part = |part: Option<&[u8]>, own: &[u8]| {
            part.is_some_and(|part| part.eq_ignore_ascii_case(own))
        };
        match self {
            Self::Exact(exact) => part(Some(text), exact),
            Self::Prefix(prefix) => part(text.get(..prefix.len()), prefix),
            Self::Suffix(suffix) => {
                let start = text.len().checked_sub(suffix.len());
                part(start.map(|start| &text[start..]), suffix)
            }
            Self::Present | Self::Template(_) => self.matches(text),
        }
    }

    /// As [`Self::matches`], of the text that `lines` are with `separator` between them. Of a long text no more
    /// is read than the pattern is long.
    pub(crate) fn matches_joined<'a>(
        &self,
        lines: impl DoubleEndedIterator<Item = &'a [u8]> + Clone,
        separator: &'a [u8],
    ) -> bool {
        if let Self::Suffix(suffix) = self {
            return ends_with_joined(lines, separator, suffix);
        }
        let parts = lines.enumerate().flat_map(|(index, line)| {
            let before: &[u8] = if index == 0 { b"" } else { separator };
            before.iter().chain(line)
        });
        match self {
            Self::Exact(exact) => parts.eq(&**exact),
            Self::Prefix(prefix) => parts.take(prefix.len()).eq(&**prefix),
            // Values of fields have no templates.
            Self::Present | Self::Suffix(_) | Self::Template(_) => true,
        }
    }
}

/// Whether the text that `lines` are, with `separator` between them, ends with `suffix`.
fn ends_with_joined<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    separator: &'a [u8],
    suffix: &[u8],
) -> bool {
    let parts = lines.rev().enumerate().flat_map(|(index, line)| {
        let behind: &[u8] = if index == 0 { b"" } else { separator };
        [behind, line]
    });
    let mut left = suffix;
    for part in parts {
        if part.len() >= left.len() {
            return part.ends_with(left);
        }
        match left.strip_suffix(part) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    false
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

/// Whether `text` is a SPIFFE ID (SPIFFE-ID section 2), of which there is one spelling: rules are compared
/// with no other.
///
/// ```
/// assert!(underseal_policy::is_spiffe_id("spiffe://corp/ns/shop/sa/web"));
/// assert!(!underseal_policy::is_spiffe_id("spiffe://CORP/ns/shop/sa/web"));
/// ```
pub fn is_spiffe_id(text: &str) -> bool {
    check_spiffe_id(text).is_ok()
}

fn check_spiffe_id(id: &str) -> Result<(), String> {
    let Some(rest) = id.strip_prefix("spiffe://") else {
        return Err(format!("a SPIFFE ID begins with `spiffe://`: `{id}`"));
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    if domain.is_empty() || !domain.bytes().all(in_domain) {
        return Err(format!("{DOMAIN}: `{id}`"));
    }
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(in_segment)
    };
    if !parts.all(is_segment) {
        return Err(format!("is not a SPIFFE ID: `{id}`"));
    }
    Ok(())
}

const DOMAIN: &str = "a trust domain is lower case letters, digits, `.`, `-` and `_`";

fn in_domain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

fn in_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

/// A port. Zeros before it are octal to some readers.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("expected a port from 1 to 65535: `{text}`"))
}

/// An address or a block of them. Those of IPv4 that are written as of IPv6 (`::ffff:10.0.0.1`) are
/// of IPv4, as the addresses of connections are.
pub(crate) fn ip_block(text: &str) -> Result<IpNet, String> {
    let block = read_block(text)?;
    let network = block.trunc();
    if block.addr() == network.addr() {
        return Ok(canonical(block));
    }
    Err(format!(
        "has bits beyond its prefix: write `{network}` for `{text}`"
    ))
}

/// As [`ip_block`], but the bits beyond the prefix may be anything.
pub(crate) fn read_block(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("expected an address or a block like 10.1.0.0/16: `{text}`"))
}

/// How many bits of an IPv6 address say that it is one of IPv4.
const MAPPED_BITS: u8 = 96;

fn canonical(block: IpNet) -> IpNet {
    let mapped = match block.addr() {
        IpAddr::V6(address) if block.prefix_len() >= MAPPED_BITS => {
            Ipv6Addr::to_ipv4_mapped(&address)
        }
        _ => None,
    };
    let mapped = mapped.and_then(|address| {
        let prefix_len = block.prefix_len() - MAPPED_BITS;
        IpNet::new(address.into(), prefix_len).ok()
    });
    mapped.unwrap_or(block)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LINES: [&[u8]; 4] = [b"ab", b"", b"b", b"ab"];

    #[test]
    fn lines_match_as_the_text_that_they_are_together() {
        let whole = LINES.join(&b", "[..]);
        for end in 1..=whole.len() {
            for start in 0..end {
                let part: Box<[u8]> = whole[start..end].into();
                for pattern in [
                    Pattern::Exact(part.clone()),
                    Pattern::Prefix(part.clone()),
                    Pattern::Suffix(part),
                ] {
                    let joined = pattern.matches_joined(LINES.into_iter(), b", ");
                    assert_eq!(joined, pattern.matches(&whole), "{pattern}");
                }
            }
        }
        let longer = Pattern::Suffix([b"x", &*whole].concat().into());
        assert!(!longer.matches_joined(LINES.into_iter(), b", "));
    }

    #[test]
    fn no_more_lines_are_read_than_a_pattern_is_long() {
        let lines = [&b"ab"[..]; 1000];
        let read = Cell::new(0);
        let counted = lines.iter().map(|line| {
            read.set(read.get() + 1);
            *line
        });
        assert!(Pattern::Suffix((*b"b,ab").into()).matches_joined(counted, b","));
        assert_eq!(read.get(), 2);
    }
}
