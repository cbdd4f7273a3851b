//! The PROXY protocol: who a connection came from, told before its first byte (HAProxy's
//! `proxy-protocol.txt`). Both versions are read; what is written is version 2 (section 2.2).
//!
//! ```text
//! signature            ver cmd  fam proto  length   addresses            TLVs
//! 0d 0a 0d 0a 00 0d 0a  2   1    1    1    00 0c    src dst sport dport  type length value …
//! 51 55 49 54 0a
//! ```

mod text;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses.
const FIXED: usize = 16;

/// Most bytes of addresses and TLVs. Senders put in a unique ID and names of a certificate, which
/// is a few hundred.
const MAX_PAYLOAD: usize = 4096;

const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0x0;
const PROXY: u8 = 0x1;

const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The two ends of a connection as its sender saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Who opened the connection.
    pub source: SocketAddr,
    /// Whom it was opened to.
    pub destination: SocketAddr,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it takes; what follows belongs to the connection.
    pub len: usize,
    /// Whether the sender speaks for itself, as a health check does: the connection's own addresses
    /// are the true ones then.
    pub local: bool,
    /// `None` if the sender is `local`, or speaks for someone whose addresses it does not tell.
    /// IPv4 addresses within IPv6 are told as IPv4, so that rules see one form.
    pub addresses: Option<Addresses>,
}

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Part of a header, which has no fewer than `wanted` bytes: reading up to there never reads
    /// a byte that is not the header's.
    Incomplete {
        /// Bytes that there are at least, from the first.
        wanted: usize,
    },
    /// A whole one.
    Header(Header),
}

/// Why bytes are no header: the fault of whoever sent them. The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They begin neither with the signature nor as the text form does.
    Signature,
    /// They begin as the text form, version 1, and are none.
    Text,
    /// Neither of version 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// Neither TCP over IPv4 or IPv6, nor unspecified.
    Family,
    /// Too short for the addresses of its family.
    Short,
    /// Longer than a header may be here.
    Long,
    /// A TLV that does not end within the header.
    Tlv,
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "no PROXY protocol header",
            Self::Text => "a PROXY protocol header of version 1 that is malformed",
            Self::Version => "a PROXY protocol header of an unknown version",
            Self::Command => "a PROXY protocol header with an unknown command",
            Self::Family => "a PROXY protocol header of neither TCP over IPv4 nor over IPv6",
            Self::Short => "a PROXY protocol header without room for its addresses",
            Self::Long => "a PROXY protocol header that is too long",
            Self::Tlv => "a PROXY protocol header with a TLV that does not end",
        })
    }
}

/// Reads the header that `bytes` begin with. A byte that no header can have is refused as soon as
/// it is there.
///
/// # Errors
/// Why it is none.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let seen = bytes.len().min(SIGNATURE.len());
    let start = &bytes[..bytes.len().min(text::START.len())];
    if !start.is_empty() && text::START.starts_with(start) {
        return text::parse(bytes);
    }
    if bytes[..seen] != SIGNATURE[..seen] {
        return Err(Malformed::Signature);
    }
    let rest = &bytes[seen..];
    if rest.first().is_some_and(|byte| byte & 0xf0 != VERSION_2) {
        return Err(Malformed::Version);
    }
    let local = match rest.first().map(|byte| byte & 0x0f) {
        Some(LOCAL) => true,
        Some(PROXY) | None => false,
        Some(_) => return Err(Malformed::Command),
    };
    let &[_, family, high, low, ref rest @ ..] = rest else {
        let wanted = if bytes.is_empty() {
            text::SHORTEST
        } else {
            FIXED
        };
        return Ok(Parsed::Incomplete { wanted });
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_PAYLOAD {
        return Err(Malformed::Long);
    }
    let len = FIXED + length;
    let Some(payload) = rest.get(..length) else {
        return Ok(Parsed::Incomplete { wanted: len });
    };
    Ok(Parsed::Header(Header {
        len,
        local,
        addresses: if local {
            // Whatever it says is to be ignored.
            None
        } else {
            addresses(family, payload)?
        },
    }))
}

/// The addresses that `payload` begins with; what follows them is looked through.
fn addresses(family: u8, payload: &[u8]) -> Result<Option<Addresses>, Malformed> {
    let (found, tlvs) = match family {
        // What it holds is told by nobody.
        UNSPEC => return Ok(None),
        TCP4 => {
            let (block, tlvs) = payload.split_first_chunk::<12>().ok_or(Malformed::Short)?;
            let address = |at: usize| {
                let &[a, b, c, d] = block[at..].first_chunk().expect("12 hold two addresses");
                IpAddr::from(Ipv4Addr::new(a, b, c, d))
            };
            (pair(address(0), address(4), &block[8..]), tlvs)
        }
        TCP6 => {
            let (block, tlvs) = payload.split_first_chunk::<36>().ok_or(Malformed::Short)?;
            let address = |at: usize| {
                let octets: [u8; 16] = *block[at..].first_chunk().expect("36 hold two addresses");
                Ipv6Addr::from(octets).to_canonical()
            };
            (pair(address(0), address(16), &block[32..]), tlvs)
        }
        _ => return Err(Malformed::Family),
    };
    skip_tlvs(tlvs)?;
    Ok(Some(found))
}

fn pair(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Addresses {
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Addresses {
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
    }
}

fn skip_tlvs(mut rest: &[u8]) -> Result<(), Malformed> {
    while let &[_, high, low, ref tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = tail.get(length..).ok_or(Malformed::Tlv)?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed::Tlv)
    }
}

/// Appends the header that tells `addresses`; without them, the one by which the sender speaks for
/// itself.
pub fn write(addresses: Option<Addresses>, out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    let Some(Addresses {
        source,
        destination,
    }) = addresses
    else {
        return out.extend_from_slice(&[VERSION_2 | LOCAL, UNSPEC, 0, 0]);
    };
    out.push(VERSION_2 | PROXY);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[TCP4, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        // Both have to be of one family.
        (from, to) => {
            out.extend_from_slice(&[TCP6, 0, 36]);
            out.extend_from_slice(&within_ipv6(from).octets());
            out.extend_from_slice(&within_ipv6(to).octets());
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Appends the header by which the sender speaks for someone whose addresses it does not tell.
pub fn write_untold(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[VERSION_2 | PROXY, UNSPEC, 0, 0]);
}

fn within_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests;
