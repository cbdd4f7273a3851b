//! The head of a request: what `httparse` reads, reduced to what a file server needs to know.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::content_coding;
use crate::http1::lengths::{self, MAX_METHOD};
use crate::refusal::Refusal;

/// Longest head, request line included, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Longest request target, in bytes.
const MAX_TARGET: usize = 8 * 1024;
/// Longest request line, in bytes.
const MAX_LINE: usize = MAX_METHOD + MAX_TARGET + "  HTTP/1.1\r\n".len();
/// Most header fields.
const MAX_FIELDS: usize = 100;

/// A request head that no answer can be based upon; the connection ends after the status is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status code of the answer.
    pub status: u16,
    /// Why, for the log.
    pub why: &'static str,
}

impl Refused {
    /// Refuses with `status`; `why` is for the log.
    pub const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

/// A well-formed request head, borrowed from the bytes it arrived in.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, in its own case.
    pub method: &'a str,
    /// The target as it was sent.
    pub target: &'a str,
    /// The value of `Host`; a request of HTTP/1.0 may have none.
    pub host: Option<&'a [u8]>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor_version: u8,
    /// What the client wants to happen to the connection.
    pub keep_alive: bool,
    /// Bytes of body that follow the head.
    pub body: u64,
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
    /// The status to refuse it with, as soon as that is certain.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Refused> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
                check_line(bytes)?;
                Self::from_parsed(&parsed).map(|request| Some((request, length)))
            }
            Ok(_) => may_grow(bytes).map(|()| None),
            Err(httparse::Error::TooManyHeaders) => {
                Err(Refused::new(431, "more than 100 header fields"))
            }
            Err(httparse::Error::Version) => Err(version_refusal(bytes)),
            Err(_) => Err(Refused::new(400, "malformed request head")),
        }
    }

    fn from_parsed(parsed: &httparse::Request<'_, 'a>) -> Result<Self, Refused> {
        let target = parsed.path.unwrap_or("");
        if target.len() > MAX_TARGET {
            let status = Refusal::TargetTooLong.status();
            return Err(Refused::new(status, "request target over 8 KiB"));
        }
        let minor_version = parsed.version.unwrap_or(1);
        let mut request = Self {
            method: parsed.method.unwrap_or(""),
            target,
            host: None,
            minor_version,
            keep_alive: minor_version == 1,
            body: 0,
            expect: false,
            accepts_gzip: false,
            range: None,
            if_range: None,
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
            user_agent: None,
        };
        let mut framing = Framing::default();
        for field in parsed.headers.iter() {
            framing.read(field)?;
            request.read(field)?;
        }
        request.body = framing.body(minor_version)?;
        Ok(request)
    }

    fn read(&mut self, field: &httparse::Header<'a>) -> Result<(), Refused> {
        let (name, value) = (field.name, field.value);
        // Compared by length first: most fields of a browser are none of ours.
        match name.len() {
            4 if is(name, "host") => self.host = Some(value),
            5 if is(name, "range") => once(&mut self.range, value)?,
            6 if is(name, "expect") => self.expect = true,
            8 if is(name, "if-range") => once(&mut self.if_range, value)?,
            8 if is(name, "if-match") => join(&mut self.if_match, value),
            10 if is(name, "connection") => self.read_connection(value),
            10 if is(name, "user-agent") => self.user_agent = Some(value),
            13 if is(name, "if-none-match") => join(&mut self.if_none_match, value),
            15 if is(name, "accept-encoding") => {
                self.accepts_gzip |= content_coding::accepts_gzip(value);
            }
            17 if is(name, "if-modified-since") => once(&mut self.if_modified_since, value)?,
            19 if is(name, "if-unmodified-since") => once(&mut self.if_unmodified_since, value)?,
            _ => {}
        }
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
                return;
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }
}

fn is(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refused> {
    if slot.is_some() {
        return Err(Refused::new(
            400,
            "a header field that must be single is repeated",
        ));
    }
    *slot = Some(value);
    Ok(())
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

/// The fields that say where the request ends. Anything two readers could understand differently
/// is refused, because a difference is how requests are smuggled.
#[derive(Default)]
struct Framing {
    hosts: u32,
    length: Option<u64>,
    transfer_encoding: bool,
}

impl Framing {
    fn read(&mut self, field: &httparse::Header<'_>) -> Result<(), Refused> {
        match field.name.len() {
            4 if is(field.name, "host") => self.hosts += 1,
            14 if is(field.name, "content-length") => {
                let length = content_length(field.value)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(Refused::new(400, "two different Content-Length"));
                }
                self.length = Some(length);
            }
            17 if is(field.name, "transfer-encoding") => self.transfer_encoding = true,
            _ => {}
        }
        Ok(())
    }

    fn body(&self, minor_version: u8) -> Result<u64, Refused> {
        if self.hosts > 1 || (self.hosts == 0 && minor_version == 1) {
            return Err(Refused::new(400, "not exactly one Host field"));
        }
        match (self.transfer_encoding, self.length) {
            (false, length) => Ok(length.unwrap_or(0)),
            (true, Some(_)) => Err(Refused::new(400, "Content-Length and Transfer-Encoding")),
            (true, None) if minor_version == 0 => {
                Err(Refused::new(400, "Transfer-Encoding in HTTP/1.0"))
            }
            (true, None) => Err(Refused::new(501, "request body with Transfer-Encoding")),
        }
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refused> {
    let refused = Refused::new(400, "malformed Content-Length");
    let text = std::str::from_utf8(value).map_err(|_| refused)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused);
    }
    text.parse()
        .map_err(|_| Refused::new(413, "Content-Length beyond 64 bits"))
}

/// Decides whether an incomplete head may still grow.
pub(super) fn may_grow(bytes: &[u8]) -> Result<(), Refused> {
    lengths::check_part(bytes, MAX_LINE, MAX_HEAD).map_err(too_long)
}

/// Refuses a request line that is too long, in a head that is complete as in one that is not.
fn check_line(bytes: &[u8]) -> Result<(), Refused> {
    lengths::check_line(bytes, MAX_LINE).map_err(too_long)
}

fn too_long(refusal: Refusal) -> Refused {
    let why = match refusal {
        Refusal::MethodTooLong => "method over 64 bytes",
        Refusal::TargetTooLong => "request line over 8 KiB",
        _ => "request head over 32 KiB",
    };
    Refused::new(refusal.status(), why)
}

/// `HTTP/2.0` asks for a version that is not here; `HTTP/x` asks for nothing.
fn version_refusal(bytes: &[u8]) -> Refused {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&[]);
    let version = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next();
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refused::new(505, "HTTP version other than 1.0 and 1.1")
        }
        _ => Refused::new(400, "malformed HTTP version"),
    }
}

/// Whether `bytes` can hold the end of a head; looked at before parsing again, so that a head sent
/// byte by byte is not parsed from its start for every byte.
pub(super) fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests;
