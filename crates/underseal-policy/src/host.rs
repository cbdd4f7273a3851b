//! `host[:port]`, as Host fields, targets and `:authority` say it.

use crate::refusal::Refusal;

/// How long a name may be (RFC 1035 section 2.3.4), and room for brackets.
pub(crate) const MAX_HOST: usize = 256;

/// A host and its port, not yet in lower case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    name: &'a [u8],
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`. User information, percent-encoding and names that are no ASCII are
    /// refused: none of them reaches a server that says what it means.
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, Refusal> {
        let (name, port) = split(text).ok_or(Refusal::Host)?;
        // The root's dot: the same host.
        let name = name.strip_suffix(b".").unwrap_or(name);
        if !is_host(name) {
            return Err(Refusal::Host);
        }
        let port = port.map(read_port).transpose()?;
        Ok(Self { name, port })
    }

    /// Whether both are the same place under a scheme whose port is `default_port`.
    pub(crate) fn is(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.name.eq_ignore_ascii_case(other.name)
            && self.port.or(default_port) == other.port.or(default_port)
    }

    /// The name in lower case, in `out` if it has to be changed.
    pub(crate) fn lower(&self, out: &'a mut [u8; MAX_HOST]) -> &'a [u8] {
        if !self.name.iter().any(u8::is_ascii_uppercase) {
            return self.name;
        }
        let out = &mut out[..self.name.len()];
        out.copy_from_slice(self.name);
        out.make_ascii_lowercase();
        out
    }
}

fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = if text.starts_with(b"[") {
        memchr::memchr(b']', text)? + 1
    } else {
        memchr::memchr(b':', text).unwrap_or(text.len())
    };
    let (name, rest) = text.split_at(end);
    match rest {
        [] => Some((name, None)),
        [b':', port @ ..] => Some((name, Some(port))),
        _ => None,
    }
}

fn is_host(name: &[u8]) -> bool {
    let address = name
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    if let Some(address) = address {
        let address = str::from_utf8(address).ok();
        return address.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    name.len() < MAX_HOST
        && name.iter().all(in_name)
        && name
            .split(|byte| *byte == b'.')
            .all(|label| !label.is_empty())
}

fn read_port(text: &[u8]) -> Result<u16, Refusal> {
    if text.is_empty() || text.len() > 5 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Host);
    }
    let text = str::from_utf8(text).map_err(|_| Refusal::Host)?;
    text.parse().map_err(|_| Refusal::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Option<u16>), Refusal> {
        let authority = Authority::read(text.as_bytes())?;
        let mut out = [0; MAX_HOST];
        let name = authority.lower(&mut out).to_vec();
        Ok((String::from_utf8(name).expect("ASCII"), authority.port))
    }

    #[test]
    fn a_host_has_one_name() {
        for (text, name, port) in [
            ("example.com", "example.com", None),
            ("Example.COM:8080", "example.com", Some(8080)),
            ("example.com.", "example.com", None),
            ("example.com.:1", "example.com", Some(1)),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
        ] {
            assert_eq!(read(text), Ok((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":80", "a:", "a:b", "a:80:80", "a:99999", "a:+80", "user@a", "a b", "a/b", "[::1",
            "[::1]x", "[x]", "a%2eb", "ä", "a,b", ".a", "a..b", "a..", ".", "a\\b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
