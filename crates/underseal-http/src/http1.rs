//! Heads of HTTP/1.1 requests and responses, and chunked bodies: read by `httparse` and then held against what the RFCs forbid and
//! parsers forgive: each such thing is a way to make two programs see two requests (request
//! smuggling).

mod body_length;
mod chunks;
mod fields;
mod glimpse;
pub(crate) mod head;
pub(crate) mod lengths;
mod lines;
mod response;
mod target;

use std::io::Write as _;
use std::net::SocketAddr;

pub use self::body_length::BodyLength;
pub(crate) use self::body_length::content_length;
pub use self::chunks::{Chunks, MAX_CHUNK_LINE, Piece, check_trailer, chunk_size};
pub use self::glimpse::{Glimpse, glimpse};
pub use self::response::{
    ResponseFraming, ResponseHead, ResponseRefusal, read_response, response_length,
};
pub(crate) use self::target::{Target, path as split_query};
use crate::fields::Options;
use crate::head::{Framing, ReadOptions, Scratch};
use crate::host::{Authority, MAX_AUTHORITY};
use crate::path::normalise;
use crate::refusal::Refusal;
use crate::request::{Fields, Request, Span};

/// The head of a request that can be read in one way only.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    len: usize,
    target: &'a [u8],
    minor_version: u8,
    framing: Framing,
    options: Options,
    request: Request<'a>,
}

impl<'a> Head<'a> {
    /// How many bytes it takes, the empty line at its end included and one before it; the body begins
    /// there.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a head has a request line.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The target as it was sent, with its query.
    pub fn target(&self) -> &'a [u8] {
        self.target
    }

    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// What its Connection fields say.
    pub fn options(&self) -> Options {
        self.options
    }

    /// How its body is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// What rules see of it.
    pub fn request(&self) -> Request<'a> {
        self.request
    }
}

/// Reads the head that `bytes` begins with; `None` if it is not whole yet. Allocates nothing.
///
/// A head that is refused is refused however it arrives: no part of it is taken for a whole one.
///
/// # Errors
/// Why it is refused: always the sender's fault.
///
/// ```
/// use underseal_http::{ReadOptions, Refusal, Scratch, http1};
///
/// let mut scratch = Scratch::default();
/// let head = b"GET /a/%2e./b?x HTTP/1.1\r\nHost: Example.com\r\n\r\n";
/// let head = http1::read(head, &ReadOptions::default(), &mut scratch)?.expect("whole");
/// assert_eq!(head.request().path(), Some(&b"/b"[..]));
/// assert_eq!(head.request().host(), b"example.com");
///
/// let both = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
/// let refused = http1::read(both, &ReadOptions::default(), &mut scratch);
/// assert_eq!(refused.unwrap_err(), Refusal::BothLengths);
/// # Ok::<(), Refusal>(())
/// ```
pub fn read<'a>(
    bytes: &'a [u8],
    options: &ReadOptions,
    scratch: &'a mut Scratch,
) -> Result<Option<Head<'a>>, Refusal> {
    let room = &mut *scratch.0;
    let mut spans = room.spans.iter_mut();
    let max_head = options.max_head.min(usize::from(u16::MAX));
    let parsed = head::parse(bytes, max_head, |field| {
        // There is one for each that is read.
        if let Some(span) = spans.next() {
            *span = Span::of(bytes, field);
        }
    })?;
    let left = spans.len();
    let Some(parsed) = parsed else {
        return Ok(None);
    };
    let host = match (parsed.host()?, options.local) {
        (Some(host), _) => host,
        (None, Some(local)) => spell(local, &mut room.local),
        (None, None) => return Err(Refusal::NoHost),
    };
    let host = Authority::read(host)?;
    let (method, text) = (parsed.method.as_bytes(), parsed.target.as_bytes());
    let target = Target::read(method, text, Some(&host))?.with_ascii_query()?;
    let (sent, query) = target.path();
    let path = match target {
        Target::Path(path, _) => Some(normalise(path, &options.path, &mut room.path)?),
        Target::Server | Target::Tunnel => sent,
    };
    Ok(Some(Head {
        len: parsed.len,
        target: text,
        minor_version: parsed.minor_version,
        framing: parsed.framing,
        options: parsed.options,
        request: Request {
            method,
            path,
            sent,
            query,
            host: host.normal(&mut room.host),
            fields: Fields::Head(bytes, &room.spans[..room.spans.len() - left]),
        },
    }))
}

/// An address as a Host field says it.
fn spell(address: SocketAddr, out: &mut [u8; MAX_AUTHORITY]) -> &[u8] {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let mut rest = &mut out[..];
    // There is room for every address.
    let written = write!(rest, "{address}");
    debug_assert!(written.is_ok(), "there is room");
    let len = MAX_AUTHORITY - rest.len();
    &out[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_http10_without_host_is_for_where_its_client_connected_to() {
        let mut scratch = Scratch::default();
        for (local, authority) in [
            ("127.0.0.1:8443", "127.0.0.1:8443"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ] {
            let options = ReadOptions {
                local: Some(local.parse().expect("an address")),
                ..ReadOptions::default()
            };
            let mut read = |text: &str| {
                let head = read(text.as_bytes(), &options, &mut scratch)?;
                let head = head.expect("whole");
                Ok::<_, Refusal>(head.request().authority().to_vec())
            };
            let old = read("GET / HTTP/1.0\r\n\r\n");
            assert_eq!(old.as_deref(), Ok(authority.as_bytes()));
            assert_eq!(
                read("GET / HTTP/1.0\r\nHost: a\r\n\r\n").as_deref(),
                Ok(&b"a"[..])
            );
            assert_eq!(read("GET / HTTP/1.1\r\n\r\n"), Err(Refusal::NoHost));
        }
    }
}
