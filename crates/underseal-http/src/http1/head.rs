//! The head of a request, as every server here reads it, whatever it does with it.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::fields::Noted;
use super::lengths::{self, MAX_METHOD};
use super::lines;
use crate::fields::Options;
use crate::head::{Framing, MAX_FIELDS};
use crate::refusal::Refusal;

/// What is read of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed<'a> {
    /// How many bytes it takes, the empty line at its end included and one before it.
    pub(crate) len: usize,
    pub(crate) method: &'a str,
    /// As it was sent, and not looked at.
    pub(crate) target: &'a str,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub(crate) minor_version: u8,
    pub(crate) framing: Framing,
    /// What its Connection fields say.
    pub(crate) options: Options,
    host: Option<&'a [u8]>,
}

impl<'a> Parsed<'a> {
    /// The value of Host, which a request of HTTP/1.0 may lack.
    pub(crate) fn host(&self) -> Result<Option<&'a [u8]>, Refusal> {
        match (self.host, self.minor_version) {
            (None, 1) => Err(Refusal::NoHost),
            (host, _) => Ok(host),
        }
    }
}

/// Reads the head that `bytes` begins with, and gives `each` of its fields in their order; `None` if it is
/// not whole yet. Allocates nothing.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    max_head: usize,
    mut each: impl FnMut(&Header<'a>),
) -> Result<Option<Parsed<'a>>, Refusal> {
    if bytes == b"\r" {
        return Ok(None);
    }
    let head = without_empty_line(bytes);
    let seen = &head[..head.len().min(max_head)];
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(seen, &mut slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => {
            lines::check(seen)?;
            lengths::check(seen, max_head)?;
            return Ok(None);
        }
        Err(error) => return Err(lines::name(error, seen)),
    };
    lines::check_whole(&seen[..len], parsed.headers)?;
    let mut noted = Noted::default();
    for field in &*parsed.headers {
        noted.note(field)?;
        each(field);
    }
    // httparse has found all three, else the head would not be whole.
    let method = parsed.method.ok_or(Refusal::RequestLine)?;
    let minor_version = parsed.version.ok_or(Refusal::RequestLine)?;
    if method.len() > MAX_METHOD {
        return Err(Refusal::MethodTooLong);
    }
    Ok(Some(Parsed {
        len: bytes.len() - head.len() + len,
        method,
        target: parsed.path.ok_or(Refusal::RequestLine)?,
        minor_version,
        framing: noted.length.of_request(minor_version)?,
        options: noted.options,
        host: noted.host,
    }))
}

/// Refuses `part` of a head, without reading it, if no head of up to `max_head` bytes begins so.
pub(crate) fn check_part(part: &[u8], max_head: usize) -> Result<(), Refusal> {
    lengths::check(without_empty_line(part), max_head)
}

/// One empty line before a request is none of its own (RFC 9112 section 2.2).
fn without_empty_line(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\r\n").unwrap_or(bytes)
}
