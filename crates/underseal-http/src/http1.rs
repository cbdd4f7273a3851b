//! Heads of HTTP/1.1 requests and responses, and chunked bodies: read by `httparse` and then held against what the RFCs forbid and
//! parsers forgive: each such thing is a way to make two programs see two requests (request
//! smuggling).

mod chunks;
mod fields;
mod glimpse;
mod lines;
mod response;
mod target;

use std::mem::MaybeUninit;

pub use self::chunks::{Chunks, Piece};
use self::fields::Noted;
pub(crate) use self::fields::content_length;
pub use self::glimpse::{Glimpse, glimpse};
pub use self::response::{ResponseFraming, ResponseHead, ResponseRefusal, read_response};
pub(crate) use self::target::{Target, path as split_query};
use crate::head::{Framing, MAX_FIELDS, ReadOptions, Scratch};
use crate::host::Authority;
use crate::path::normalise;
use crate::refusal::Refusal;
use crate::request::{Fields, Request};

/// The head of a request that can be read in one way only.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    len: usize,
    target: &'a [u8],
    minor_version: u8,
    framing: Framing,
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
    // One empty line before a request is none of its own (RFC 9112 section 2.2).
    let (skipped, bytes) = match bytes {
        b"\r" => return Ok(None),
        [b'\r', b'\n', rest @ ..] => (2, rest),
        _ => (0, bytes),
    };
    let max_head = options.max_head.min(usize::from(u16::MAX));
    let seen = &bytes[..bytes.len().min(max_head)];
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(seen, &mut slots) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => {
            lines::check(seen)?;
            return match memchr::memchr(b'\n', seen) {
                _ if bytes.len() < max_head => Ok(None),
                None => Err(Refusal::TargetTooLong),
                Some(_) => Err(Refusal::HeadTooLong),
            };
        }
        Err(error) => return Err(lines::name(error, seen)),
    };
    lines::check(&seen[..len])?;
    let room = &mut *scratch.0;
    let mut noted = Noted::default();
    for (header, span) in parsed.headers.iter().zip(&mut room.spans) {
        *span = noted.note(seen, header)?;
    }
    // httparse has found all three, else the head would not be whole.
    let method = parsed.method.ok_or(Refusal::RequestLine)?.as_bytes();
    let target_text = parsed.path.ok_or(Refusal::RequestLine)?.as_bytes();
    let minor_version = parsed.version.ok_or(Refusal::RequestLine)?;
    let host = Authority::read(noted.host()?)?;
    let target = Target::read(method, target_text, &host)?;
    let (path, query) = match target {
        Target::Path(path, query) => {
            let path = normalise(path, &options.path, &mut room.path)?;
            (Some(path), query)
        }
        Target::Server => (Some(&b"*"[..]), None),
        Target::Tunnel => (None, None),
    };
    let spans = &room.spans[..parsed.headers.len()];
    Ok(Some(Head {
        len: skipped + len,
        target: target_text,
        minor_version,
        framing: noted.framing(minor_version)?,
        request: Request {
            method,
            path,
            query,
            host: host.normal(&mut room.host),
            fields: Fields::Head(seen, spans),
        },
    }))
}
