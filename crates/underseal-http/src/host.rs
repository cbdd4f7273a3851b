//! `host[:port]`, as Host fields, targets and `:authority` say it, and server names.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::refusal::Refusal;

/// How long a name may be (RFC 1035 section 2.3.4), and room for brackets.
const MAX_HOST: usize = 256;

/// How long a host and its port may be.
pub(crate) const MAX_AUTHORITY: usize = MAX_HOST + ":65535".len();

/// A host and its port, not yet in normal form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    text: &'a [u8],
    name: &'a [u8],
    /// What stands in brackets.
    address: Option<Ipv6Addr>,
    pub(crate) port: Option<u16>,
}

/// A host and its port, of which there is one spelling: the name in lower case and without a dot at
/// its end, an address as RFC 5952 writes it, the port in decimal digits if one was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Normal<'a> {
    pub(crate) text: &'a [u8],
    /// How much of it is the host.
    pub(crate) host_len: usize,
}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`. User information, percent-encoding and names that are no ASCII are
    /// refused: none of them reaches a server that says what it means.
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, Refusal> {
        let (name, port) = split(text).ok_or(Refusal::Host)?;
        // The root's dot: the same host.
        let name = name.strip_suffix(b".").unwrap_or(name);
        let address = match name.strip_prefix(b"[") {
            Some(rest) => Some(read_address(rest).ok_or(Refusal::Host)?),
            None if is_name(name) => None,
            None => return Err(Refusal::Host),
        };
        // A colon without a port is none (RFC 3986 section 3.2.3).
        let port = port.filter(|port| !port.is_empty());
        let port = port.map(read_port).transpose()?;
        Ok(Self {
            text,
            name,
            address,
            port,
        })
    }

    /// Whether both are the same place under a scheme whose port is `default_port`.
    pub(crate) fn is(&self, other: &Self, default_port: Option<u16>) -> bool {
        let same_host = match (self.address, other.address) {
            (None, None) => self.name.eq_ignore_ascii_case(other.name),
            (own, other) => own == other,
        };
        same_host && self.port.or(default_port) == other.port.or(default_port)
    }

    /// The normal form, in `out` if it is another text than the one that was read.
    pub(crate) fn normal(&self, out: &'a mut [u8; MAX_AUTHORITY]) -> Normal<'a> {
        if self.is_normal() {
            return Normal {
                text: self.text,
                host_len: self.name.len(),
            };
        }
        let mut rest = &mut out[..];
        // There is room for every name that is read, and for every address.
        let host = match self.address {
            Some(address) => write!(rest, "[{address}]"),
            None => rest.write_all(self.name),
        };
        let host_len = MAX_AUTHORITY - rest.len();
        let port = self.port.map_or(Ok(()), |port| write!(rest, ":{port}"));
        debug_assert!(host.is_ok() && port.is_ok(), "there is room");
        let len = MAX_AUTHORITY - rest.len();
        out[..host_len].make_ascii_lowercase();
        Normal {
            text: &out[..len],
            host_len,
        }
    }

    /// The usual case, told without writing anything.
    fn is_normal(&self) -> bool {
        let port = &self.text[self.name.len()..];
        let is_port = match port {
            [] => true,
            [b':', _] => true,
            [b':', first, ..] => *first != b'0',
            _ => false,
        };
        is_port && self.address.is_none() && !self.name.iter().any(u8::is_ascii_uppercase)
    }
}

/// A host and its port in normal form, to be said in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    text: Box<str>,
    host_len: usize,
}

impl Named {
    /// Of `host[:port]`; `None` if `text` is none, or ends where a port should begin.
    pub fn new(text: &str) -> Option<Self> {
        let normal = normal(text)?;
        let host_len = split(normal.as_bytes())?.0.len();
        let text = normal.into();
        Some(Self { text, host_len })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn normal(&self) -> Normal<'_> {
        Normal {
            text: self.text.as_bytes(),
            host_len: self.host_len,
        }
    }
}

/// The normal form of a host and its port, as [`Request::authority`](crate::Request::authority) gives
/// it; `None` if `text` is none, or ends where a port should begin: requests may, and nobody means it.
/// Allocates.
pub fn normal(text: &str) -> Option<String> {
    if text.ends_with(':') {
        return None;
    }
    let authority = Authority::read(text.as_bytes()).ok()?;
    let mut out = [0; MAX_AUTHORITY];
    let normal = authority.normal(&mut out).text.to_vec();
    String::from_utf8(normal).ok()
}

/// The normal form of a server name (RFC 6066 section 3): a host name, no address and no port.
/// `None` if `text` is none. Allocates.
pub fn normal_server_name(text: &str) -> Option<String> {
    let authority = Authority::read(text.as_bytes()).ok()?;
    let is_name = authority.port.is_none() && authority.address.is_none();
    normal(text).filter(|name| is_name && name.parse::<Ipv4Addr>().is_err())
}

/// A server name without the root's dot, which RFC 6066 forbids and some send. Its case stays.
pub fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = if text.starts_with(b"[") {
        memchr::memchr(b']', text)? + 1
    } else {
        let end = text.iter().position(|byte| !IN_NAME[usize::from(*byte)]);
        end.unwrap_or(text.len())
    };
    let (name, rest) = text.split_at(end);
    match rest {
        [] => Some((name, None)),
        [b':', port @ ..] => Some((name, Some(port))),
        _ => None,
    }
}

/// What stands behind a `[`.
fn read_address(text: &[u8]) -> Option<Ipv6Addr> {
    str::from_utf8(text.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// Whether what [`split`] has found is labels with dots between them.
fn is_name(name: &[u8]) -> bool {
    // Every byte is looked at and none branched on: this takes several bytes at a time.
    let pairs = name.iter().zip(name.get(1..).unwrap_or_default());
    let has_empty_label = pairs.fold(false, |has, pair| has | (pair == (&b'.', &b'.')));
    let is_bounded = !name.is_empty() && !name.starts_with(b".") && !name.ends_with(b".");
    is_bounded && !has_empty_label && name.len() < MAX_HOST
}

/// Letters, digits, and what else a name has.
const IN_NAME: [bool; 256] = {
    let mut in_name = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        let letter = byte as u8;
        in_name[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-' | b'_');
        byte += 1;
    }
    in_name
};

fn read_port(text: &[u8]) -> Result<u16, Refusal> {
    if text.is_empty() || text.len() > 5 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Host);
    }
    let add = |port: u32, digit: &u8| port * 10 + u32::from(*digit - b'0');
    u16::try_from(text.iter().fold(0, add)).map_err(|_| Refusal::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, usize), Refusal> {
        let authority = Authority::read(text.as_bytes())?;
        let mut out = [0; MAX_AUTHORITY];
        let normal = authority.normal(&mut out);
        let text = String::from_utf8(normal.text.to_vec()).expect("ASCII");
        Ok((text, normal.host_len))
    }

    #[test]
    fn a_host_has_one_name() {
        for (text, normal, host) in [
            ("example.com", "example.com", "example.com"),
            ("Example.COM:8080", "example.com:8080", "example.com"),
            ("example.com.", "example.com", "example.com"),
            ("example.com.:1", "example.com:1", "example.com"),
            ("example.com:", "example.com", "example.com"),
            ("example.com.:", "example.com", "example.com"),
            ("[::1]:", "[::1]", "[::1]"),
            ("example.com:080", "example.com:80", "example.com"),
            ("example.com:0", "example.com:0", "example.com"),
            ("example.com:00", "example.com:0", "example.com"),
            ("10.0.0.1:80", "10.0.0.1:80", "10.0.0.1"),
            ("[::1]", "[::1]", "[::1]"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]"),
            ("[2001:db8:0:0:0:0:0:1]", "[2001:db8::1]", "[2001:db8::1]"),
            ("[::ffff:a00:1]", "[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
        ] {
            let expected = (normal.to_owned(), host.len());
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        let longest = format!("{}A:65535", "a.".repeat(127));
        assert_eq!(
            read(&longest).map(|(text, _)| text.len()),
            Ok(longest.len())
        );
    }

    #[test]
    fn one_place_is_one_place_however_it_is_written() {
        let read = |text| Authority::read(str::as_bytes(text)).expect("a host");
        assert!(read("A.example.").is(&read("a.EXAMPLE:443"), Some(443)));
        assert!(read("[::1]:80").is(&read("[0:0::1]"), Some(80)));
        assert!(!read("[::1]").is(&read("[::2]"), None));
        assert!(!read("a:1").is(&read("a:2"), None));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":", ":80", "a:b", "a:80:80", "a:99999", "a:+80", "user@a", "a b", "a/b", "[::1",
            "[::1]x", "[x]", "[]", "[::1].", "a%2eb", "ä", "a,b", ".a", "a..b", "a..", ".", "a\\b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_name_is_a_name() {
        assert_eq!(
            normal_server_name("A.Example.").as_deref(),
            Some("a.example")
        );
        for text in ["a:1", "[::1]", "10.0.0.1", "a..b", ""] {
            assert_eq!(normal_server_name(text), None, "{text}");
        }
    }
}
