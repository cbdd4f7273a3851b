//! Who a request came from, as proxies in front tell it in `X-Forwarded-For`.
//!
//! Each adds whom it took the request from, so that the list is read from its end: as long as a trusted
//! proxy told it, what stands before is as good as seen.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use underseal_http::Request;
use underseal_http::fields::listed;

/// What backends are told of whom a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// Nothing.
    Off,
    /// One address: whom trusted proxies took it from, or who connected.
    #[default]
    Set,
    /// What trusted proxies told, and who connected.
    Append,
}

/// The name of the field.
pub(crate) const FIELD: &str = "X-Forwarded-For";

/// How backends are told one address, or that nobody knows it (RFC 7239 section 6.2).
pub(crate) fn spelled(client: Option<IpAddr>) -> Box<str> {
    let spelled = client.map(|client| client.to_string());
    spelled.map_or_else(|| "unknown".into(), Into::into)
}

/// A block of addresses, such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(IpNet);

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let block = address.or_else(|_| text.parse::<IpNet>());
        let block = block.map(Self);
        block.map_err(|_| "expected a block of addresses, such as 10.0.0.0/8".to_owned())
    }
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Box<[Block]>);

impl TrustedProxies {
    /// Those in these blocks.
    pub fn new(blocks: impl IntoIterator<Item = Block>) -> Self {
        Self(blocks.into_iter().collect())
    }

    /// Whether one is at `address`, which is in its canonical form.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|block| block.0.contains(&address))
    }
}

/// What was told of a request by who connected, who is trusted.
pub(crate) struct Told {
    /// Who sent it; `None` if a trusted proxy did not say that, or not in a way that can be read.
    pub(crate) client: Option<IpAddr>,
    /// What was told, as far as it is text.
    text: String,
}

impl Told {
    /// In a request of a trusted proxy at `remote`.
    pub(crate) fn of(request: &Request<'_>, remote: IpAddr, trusted: &TrustedProxies) -> Self {
        let values = request.header(b"x-forwarded-for");
        let members: Vec<_> = values.flat_map(listed).map(str::from_utf8).collect();
        let mut client = Some(remote);
        for member in members.iter().rev() {
            client = member.ok().and_then(address);
            if client.is_none_or(|client| !trusted.has(client)) {
                break;
            }
        }
        let text: Vec<_> = members.into_iter().flatten().collect();
        Self {
            client,
            text: text.join(", "),
        }
    }

    /// What a backend is told, where it is told all.
    pub(crate) fn appended(&self, remote: IpAddr) -> String {
        match self.text.is_empty() {
            true => remote.to_string(),
            false => format!("{}, {remote}", self.text),
        }
    }
}

/// The address that a member of the list tells; some write a port behind it.
fn address(member: &str) -> Option<IpAddr> {
    let bare = member
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(member).parse::<IpAddr>();
    let address = address.or_else(|_| member.parse::<SocketAddr>().map(|socket| socket.ip()));
    Some(address.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use underseal_http::{ReadOptions, Scratch, http2};

    use super::*;

    fn told(values: &[&str]) -> Told {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|block| block.parse().expect("a block"));
        let mut fields: Vec<http2::Field<'_>> = vec![
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/"),
            (b":authority", b"a"),
        ];
        let values = values
            .iter()
            .map(|value| (&b"x-forwarded-for"[..], value.as_bytes()));
        fields.extend(values);
        let mut scratch = Scratch::default();
        let request = http2::read(&fields, &ReadOptions::default(), &mut scratch);
        let remote = "10.0.0.9".parse().expect("an address");
        Told::of(
            &request.expect("a request"),
            remote,
            &TrustedProxies::new(trusted),
        )
    }

    #[test]
    fn the_last_who_is_not_trusted_is_the_client() {
        for (values, client) in [
            (&[][..], Some("10.0.0.9")),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6", "192.0.2.1, 10.1.2.3"], Some("192.0.2.1")),
            (&["192.0.2.1:4711, [2001:db8::1]"], Some("192.0.2.1")),
            (&["[2001:db9::1]:80"], Some("2001:db9::1")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["10.0.0.1, 10.0.0.2"], Some("10.0.0.1")),
            (&["192.0.2.1, unknown"], None),
            (&["192.0.2.1, unknown, 10.0.0.1"], None),
            (&["unknown, 192.0.2.1"], Some("192.0.2.1")),
        ] {
            let client = client.map(|client| client.parse().expect("an address"));
            assert_eq!(told(values).client, client, "{values:?}");
        }
    }

    #[test]
    fn a_block_is_an_address_or_more() {
        for (text, len) in [("10.0.0.1", 32), ("2001:db8::/32", 32), ("::1", 128)] {
            let block = text.parse::<Block>().map(|block| block.0.prefix_len());
            assert_eq!(block, Ok(len), "{text}");
        }
        for bad in ["10.0.0.0/33", "ten", ""] {
            assert!(bad.parse::<Block>().is_err(), "{bad}");
        }
    }

    #[test]
    fn all_that_was_told_goes_on_in_one_line() {
        let remote = "10.0.0.9".parse().expect("an address");
        assert_eq!(told(&[]).appended(remote), "10.0.0.9");
        let all = told(&["a, 192.0.2.1", ",,10.0.0.1"]).appended(remote);
        assert_eq!(all, "a, 192.0.2.1, 10.0.0.1, 10.0.0.9");
    }
}
