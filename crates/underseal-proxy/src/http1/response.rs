//! Responses: read, held against what would make two programs see two responses, and written anew
//! for the client.

use std::mem::MaybeUninit;

use underseal_http::http1::Chunks;

use super::answer::Keep;
use super::request::{Prepared, write_field};
use crate::flow::Body;
use underseal_http::fields::{Kind, Options, kind, listed};

/// Most fields, and longest head, of a response.
const MAX_FIELDS: usize = 128;
const MAX_HEAD: usize = 64 * 1024;

/// What the head of a response says.
#[derive(Debug)]
pub(super) struct Response {
    /// How many bytes the head takes.
    pub(super) len: usize,
    pub(super) status: u16,
    pub(super) body: Body,
    /// Whether the backend keeps its connection after the body.
    pub(super) keep_backend: bool,
    /// Whether the client's connection goes on after it.
    pub(super) keep_client: bool,
}

/// Why a response is not passed on: the backend's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    Malformed,
    TooLong,
    BothLengths,
    SeveralLengths,
    Length,
    TransferEncoding,
    /// A chunk that is none.
    Chunk,
    /// Another protocol, which nobody asked for.
    Upgrade,
}

impl Bad {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Malformed => "backend-malformed",
            Self::TooLong => "backend-head-too-long",
            Self::BothLengths => "backend-both-lengths",
            Self::SeveralLengths => "backend-several-lengths",
            Self::Length => "backend-length",
            Self::TransferEncoding => "backend-transfer-encoding",
            Self::Chunk => "backend-chunk",
            Self::Upgrade => "backend-upgrade",
        }
    }
}

/// Reads a head and writes it for the client to `out`; `None` if it is not whole.
///
/// # Errors
/// Why it cannot be passed on. `out` may have been written to.
pub(super) fn read(
    bytes: &[u8],
    prepared: &Prepared,
    may_persist: bool,
    out: &mut Vec<u8>,
) -> Result<Option<Response>, Bad> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let seen = &bytes[..bytes.len().min(MAX_HEAD)];
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut parsed, seen, &mut slots) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Bad::TooLong);
        }
        Err(_) => return Err(Bad::Malformed),
    };
    let (Some(minor_version), Some(status)) = (parsed.version, parsed.code) else {
        return Err(Bad::Malformed);
    };
    let mut noted = Noted::default();
    for field in &*parsed.headers {
        noted.note(field)?;
    }
    if status < 100 {
        return Err(Bad::Malformed);
    }
    if status == 101 && !prepared.upgrade {
        return Err(Bad::Upgrade);
    }
    // A client of HTTP/1.0 knows no chunks, and was not said to be of another.
    let minor_version = minor_version.min(prepared.minor_version);
    let body = noted.body(status, minor_version, prepared.is_head)?;
    let is_interim = status < 200;
    let keep_client = prepared.persist && may_persist && !matches!(body, Body::UntilClose);
    let reason = parsed.reason.unwrap_or_default();
    write_status(out, status, reason);
    for field in &*parsed.headers {
        let passes = match kind(field.name.as_bytes()) {
            Kind::EndToEnd | Kind::Ours => {
                !noted.options.names_fields || !is_named(&*parsed.headers, field.name)
            }
            Kind::ContentLength => status != 204 && !is_interim,
            Kind::TransferEncoding => matches!(body, Body::Chunked(_)) || prepared.is_head,
            Kind::Upgrade => status == 101 || status == 426,
            Kind::Hop | Kind::Connection | Kind::Te | Kind::Http2Settings => false,
        };
        if passes {
            write_field(out, field.name.as_bytes(), field.value);
        }
    }
    match status {
        101 => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        _ if is_interim => {}
        426 => out.extend_from_slice(b"Connection: close, Upgrade\r\n"),
        _ => out.extend_from_slice(Keep::of(keep_client, prepared.minor_version).field()),
    }
    out.extend_from_slice(b"\r\n");
    let backend_persists = match minor_version {
        0 => false,
        _ => !noted.options.close,
    };
    Ok(Some(Response {
        len,
        status,
        keep_backend: backend_persists && !matches!(body, Body::UntilClose),
        keep_client: keep_client && status != 426,
        body,
    }))
}

fn write_status(out: &mut Vec<u8>, status: u16, reason: &str) {
    let digits = [status / 100, status / 10 % 10, status % 10];
    out.extend_from_slice(b"HTTP/1.1 ");
    // httparse reads three digits and no more.
    out.extend(digits.map(|digit| b'0' + digit as u8));
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn is_named(fields: &[httparse::Header<'_>], name: &str) -> bool {
    let connections = fields
        .iter()
        .filter(|field| kind(field.name.as_bytes()) == Kind::Connection);
    let mut options = connections.flat_map(|field| listed(field.value));
    options.any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// What the fields say about the body and the connection.
#[derive(Default)]
struct Noted {
    length: Option<u64>,
    is_chunked: bool,
    options: Options,
}

impl Noted {
    fn note(&mut self, field: &httparse::Header<'_>) -> Result<(), Bad> {
        match kind(field.name.as_bytes()) {
            Kind::ContentLength => {
                let length = length(field.value)?;
                if self.length.replace(length).is_some() {
                    return Err(Bad::SeveralLengths);
                }
            }
            Kind::TransferEncoding => {
                let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if !is_chunked || self.is_chunked {
                    return Err(Bad::TransferEncoding);
                }
                self.is_chunked = true;
            }
            Kind::Connection => self.options.note(field.value),
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 section 6.3.
    fn body(&self, status: u16, minor_version: u8, is_head: bool) -> Result<Body, Bad> {
        if self.is_chunked && self.length.is_some() {
            return Err(Bad::BothLengths);
        }
        if self.is_chunked && minor_version == 0 {
            return Err(Bad::TransferEncoding);
        }
        if is_head || status < 200 || status == 204 || status == 304 {
            return Ok(Body::Done);
        }
        Ok(match self.length {
            Some(0) => Body::Done,
            Some(length) => Body::Length(length),
            None if self.is_chunked => Body::Chunked(Chunks::default()),
            None => Body::UntilClose,
        })
    }
}

fn length(value: &[u8]) -> Result<u64, Bad> {
    if value.contains(&b',') {
        return Err(Bad::SeveralLengths);
    }
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Length);
    }
    let add = |length, digit: &u8| length * 10 + u64::from(*digit - b'0');
    Ok(value.iter().fold(0, add))
}
