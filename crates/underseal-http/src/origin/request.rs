//! The head of a request, reduced to what a file server needs to know.

use std::borrow::Cow;

use httparse::Header;

use super::content_coding;
use crate::fields::is;
use crate::head::Framing;
use crate::host::Authority;
use crate::http1::{Target, head};
use crate::refusal::Refusal;

/// Longest head, request line included, in bytes.
pub(super) const MAX_HEAD: usize = 32 * 1024;

/// A well-formed request head, borrowed from the bytes it arrived in.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The method, in its own case.
    pub method: &'a str,
    /// The target as it was sent.
    pub target: &'a str,
    /// Its path, not decoded; that of CONNECT is empty.
    pub path: &'a [u8],
    /// What stands behind the `?` of the target.
    pub query: Option<&'a [u8]>,
    /// The value of `Host`; a request of HTTP/1.0 may have none.
    pub host: Option<&'a [u8]>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor_version: u8,
    /// What the client wants to happen to the connection.
    pub keep_alive: bool,
    /// What follows the head.
    pub body: Framing,
    /// Whether there is an `Expect`: the client may wait before it sends its body.
    pub expect: bool,
    /// Whether `Accept-Encoding` has gzip.
    pub accepts_gzip: bool,
    /// The value of `Range`, for [`range::parse`](super::range::parse).
    pub range: Option<&'a [u8]>,
    /// The value of `If-Range`.
    pub if_range: Option<&'a [u8]>,
    /// The values of `If-Match` as one list.
    pub if_match: Option<Cow<'a, [u8]>>,
    /// The values of `If-None-Match` as one list.
    pub if_none_match: Option<Cow<'a, [u8]>>,
    /// The value of `If-Modified-Since`.
    pub if_modified_since: Option<&'a [u8]>,
    /// The value of `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a [u8]>,
    /// The value of `User-Agent`, for the log.
    pub user_agent: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads a head from the start of `bytes`; gives it with its length, or `None` if it is not
    /// complete yet.
    ///
    /// # Errors
    /// Why it is refused, as soon as that is certain. The connection ends after that is answered.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Refusal> {
        let mut request = Self::default();
        let parsed = head::parse(bytes, MAX_HEAD, |field| request.note(field))?;
        let Some(head) = parsed else {
            return Ok(None);
        };
        request.host = head.host()?;
        let host = request.host.map(Authority::read).transpose()?;
        let (method, target) = (head.method.as_bytes(), head.target.as_bytes());
        let (path, query) = Target::read(method, target, host.as_ref())?.path();
        (request.method, request.target) = (head.method, head.target);
        (request.path, request.query) = (path.unwrap_or_default(), query);
        (request.minor_version, request.body) = (head.minor_version, head.framing);
        request.keep_alive = head.options.persists(head.minor_version);
        Ok(Some((request, head.len)))
    }

    fn note(&mut self, field: &Header<'a>) {
        let (name, value) = (field.name.as_bytes(), field.value);
        // Compared by length first: most fields of a browser are none of ours.
        match name.len() {
            5 if is(name, b"range") => single(&mut self.range, value),
            6 if is(name, b"expect") => self.expect = true,
            8 if is(name, b"if-range") => single(&mut self.if_range, value),
            8 if is(name, b"if-match") => join(&mut self.if_match, value),
            10 if is(name, b"user-agent") => self.user_agent = Some(value),
            13 if is(name, b"if-none-match") => join(&mut self.if_none_match, value),
            15 if is(name, b"accept-encoding") => {
                self.accepts_gzip |= content_coding::accepts_gzip(value);
            }
            17 if is(name, b"if-modified-since") => single(&mut self.if_modified_since, value),
            19 if is(name, b"if-unmodified-since") => single(&mut self.if_unmodified_since, value),
            _ => {}
        }
    }
}

/// What comes several times and is no list says nothing.
fn single<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) {
    *slot = Some(if slot.is_some() { b"" } else { value });
}

/// List fields may come in several lines, which mean the same as one with commas.
fn join<'a>(slot: &mut Option<Cow<'a, [u8]>>, value: &'a [u8]) {
    match slot {
        None => *slot = Some(Cow::Borrowed(value)),
        Some(list) => {
            let list = list.to_mut();
            list.push(b',');
            list.extend_from_slice(value);
        }
    }
}

/// Whether `bytes` can hold the end of a head; looked at before parsing again, so that a head sent
/// byte by byte is not parsed from its start for every byte.
pub(super) fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests;
