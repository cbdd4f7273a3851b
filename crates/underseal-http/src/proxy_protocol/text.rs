//! The text form, version 1 (section 2.1).
//!
//! ```text
//! PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n
//! PROXY UNKNOWN …\r\n
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Header, Malformed, Parsed};

/// What every header of this version begins with.
pub(super) const START: &[u8] = b"PROXY ";

/// Most bytes of a header, its line end included.
const MAX: usize = 107;

/// The shortest header.
pub(super) const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();

/// Spaces in a header that tells addresses.
const SPACES: usize = 5;

/// Reads the header that `bytes` begin with: [`START`], as far as they go.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let seen = &bytes[..bytes.len().min(MAX)];
    let line = match memchr::memchr2(b'\r', b'\n', seen) {
        None if seen.len() == MAX => return Err(Malformed::Long),
        None => return Ok(incomplete(seen)),
        Some(end) => match seen[end..] {
            [b'\r', b'\n', ..] => &seen[..end],
            [b'\r'] if seen.len() == MAX => return Err(Malformed::Long),
            [b'\r'] => return Ok(incomplete(seen)),
            _ => return Err(Malformed::Text),
        },
    };
    Ok(Parsed::Header(Header {
        len: line.len() + 2,
        local: false,
        addresses: addresses(line).ok_or(Malformed::Text)?,
    }))
}

/// How many bytes there are at least: what is missing has a byte for each field and each space.
fn incomplete(seen: &[u8]) -> Parsed {
    let line_end = if seen.ends_with(b"\r") { 1 } else { 2 };
    let tells = seen.starts_with(b"PROXY T");
    let spaces = seen.iter().filter(|byte| **byte == b' ').count();
    let fields = match tells && line_end == 2 {
        true => 2 * SPACES.saturating_sub(spaces),
        false => 0,
    };
    Parsed::Incomplete {
        wanted: SHORTEST.max(seen.len() + fields + line_end),
    }
}

/// What a line tells; `None` within if nobody tells it, and without if it is no header.
fn addresses(line: &[u8]) -> Option<Option<Addresses>> {
    let rest = str::from_utf8(line.strip_prefix(START)?).ok()?;
    if let Some(rest) = rest.strip_prefix("UNKNOWN") {
        // Whatever follows is to be ignored.
        return (rest.is_empty() || rest.starts_with(' ')).then_some(None);
    }
    let mut fields = rest.split(' ');
    let read: fn(&str) -> Option<IpAddr> = match fields.next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text| {
            let address = text.parse::<Ipv6Addr>().ok()?;
            Some(address.to_canonical())
        },
        _ => return None,
    };
    let (source, destination) = (read(fields.next()?)?, read(fields.next()?)?);
    let (from, to) = (port(fields.next()?)?, port(fields.next()?)?);
    let told = Addresses {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    };
    fields.next().is_none().then_some(Some(told))
}

/// Digits, and no zero before others.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    is_plain.then(|| text.parse().ok()).flatten()
}
