//! Responses, written anew for the client.

use http::header::{CONTENT_LENGTH, HeaderValue, TRAILER};
use underseal_http::fields::{Kind, kind};
use underseal_http::http1::{ResponseHead, ResponseRefusal, read_response};

use super::request::Asked;
use crate::exchange::Answer;
use crate::exchange::response::{Delimited, passes};
use crate::flow::Body;
use crate::parts::Framer;
use crate::websocket;

/// Whether the client's connection may go on behind a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persist {
    No,
    /// If the client sends the rest of its request before it has all of the response.
    IfRead,
    Yes,
}

impl Persist {
    /// Whether it does behind one that `is_whole` already, or of which more comes.
    fn holds(self, is_whole: bool) -> bool {
        match self {
            Self::No => false,
            Self::IfRead => !is_whole,
            Self::Yes => true,
        }
    }
}

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

/// Reads a head and writes it for the client to `out`; `None` if it is not whole.
///
/// # Errors
/// Why it cannot be passed on. `out` may have been written to.
pub(super) fn read(
    bytes: &[u8],
    asked: &Asked,
    persist: Persist,
    out: &mut Vec<u8>,
) -> Result<Option<Response>, ResponseRefusal> {
    let written = read_response(bytes, |head| {
        let behind = bytes.len() - head.len();
        write((head, behind), asked, persist, out)
    })?;
    written.transpose()
}

/// `behind` the head are so many bytes.
fn write(
    (head, behind): (&ResponseHead<'_>, usize),
    asked: &Asked,
    persist: Persist,
    out: &mut Vec<u8>,
) -> Result<Response, ResponseRefusal> {
    let status = head.status();
    let accepts = |key: websocket::Key| key.is_accepted_by(head);
    if status == 101 && !asked.websocket.is_some_and(accepts) {
        return Err(ResponseRefusal::Upgrade);
    }
    // A client of HTTP/1.0 knows no chunks, and was not said to be of another.
    let Delimited { body, persists } = Delimited::of(head, asked.minor_version, asked.is_head)?;
    let is_interim = status < 200;
    let is_whole = match body {
        Body::Done => true,
        Body::Length(length) => length <= behind as u64,
        Body::Chunked(_) | Body::UntilClose => false,
    };
    let keep_client = asked.persist && persist.holds(is_whole) && !matches!(body, Body::UntilClose);
    write_status(out, status, head.reason());
    let named = head.named_fields();
    for (index, (name, value)) in head.fields().enumerate() {
        let passes = match kind(name) {
            Kind::TransferEncoding => {
                // What never has a body says nothing of its coding (RFC 9112 section 6.1).
                let may_have_body = !matches!(status, 100..200 | 204);
                matches!(body, Body::Chunked(_)) || asked.is_head && may_have_body
            }
            Kind::Upgrade => status == 101 || status == 426,
            _ => passes(name, status) && !named.has(index),
        };
        if passes {
            write_field(out, name, value);
        }
    }
    match status {
        101 => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        _ if is_interim => {}
        426 => out.extend_from_slice(b"Connection: close, Upgrade\r\n"),
        _ => out.extend_from_slice(connection_field(keep_client, asked.minor_version)),
    }
    out.extend_from_slice(b"\r\n");
    Ok(Response {
        len: head.len(),
        status,
        keep_backend: persists,
        keep_client: keep_client && status != 426,
        body,
    })
}

/// Writes what goes on of a head of another version to `out`, and how the body is delimited for the client,
/// if it is not at its end already.
pub(super) fn translated(
    (head, is_at_end): (&http::Response<()>, bool),
    asked: &Asked,
    persist: Persist,
    out: &mut Vec<u8>,
) -> (Response, Framer) {
    let status = head.status();
    write_status(
        out,
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
    );
    for (name, value) in head.headers() {
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let is_interim = status.is_informational();
    let bodiless = is_interim || asked.is_head || matches!(status.as_u16(), 204 | 304);
    let fields = head.headers();
    let length = fields.get(CONTENT_LENGTH);
    let framer = match (bodiless, length) {
        (true, _) => None,
        (false, Some(length)) => {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            Some(Framer::of_length(length.unwrap_or(0)))
        }
        (false, None) if is_at_end => {
            write_field(out, b"Content-Length", b"0");
            None
        }
        (false, None) if asked.minor_version == 0 => Some(Framer::until_close()),
        (false, None) => {
            write_field(out, b"Transfer-Encoding", b"chunked");
            let announced = fields.get_all(TRAILER).iter();
            Some(Framer::in_chunks(announced.map(HeaderValue::as_bytes)))
        }
    };
    let ends = framer.as_ref().is_some_and(Framer::ends_by_closing);
    let keep_client = asked.persist && persist.holds(framer.is_none()) && !ends;
    if !is_interim {
        out.extend_from_slice(connection_field(keep_client, asked.minor_version));
    }
    out.extend_from_slice(b"\r\n");
    let response = Response {
        len: 0,
        status: status.as_u16(),
        // What is framed passes as it is.
        body: framer.as_ref().map_or(Body::Done, |_| Body::UntilClose),
        keep_backend: false,
        keep_client,
    };
    (response, framer.unwrap_or_else(Framer::until_close))
}

/// Writes an answer of our own; `keep` says whether the client may go on.
pub(super) fn own(answer: &Answer, date: &str, asked: &Asked, keep: bool, out: &mut Vec<u8>) {
    let reason = answer.status.canonical_reason().unwrap_or_default();
    write_status(out, answer.status.as_u16(), reason);
    answer.fields(date, |name, value| {
        write_field(out, name.as_bytes(), value.as_bytes());
    });
    out.extend_from_slice(connection_field(keep, asked.minor_version));
    out.extend_from_slice(b"\r\n");
    if !asked.is_head {
        out.extend_from_slice(answer.body.as_bytes());
    }
}

/// What a response says about the connection, with its line end. It goes without saying that one of HTTP/1.1
/// goes on.
fn connection_field(persist: bool, minor_version: u8) -> &'static [u8] {
    match (persist, minor_version) {
        (false, _) => b"Connection: close\r\n",
        (true, 0) => b"Connection: keep-alive\r\n",
        (true, _) => b"",
    }
}

fn write_status(out: &mut Vec<u8>, status: u16, reason: &str) {
    let digits = [status / 100, status / 10 % 10, status % 10];
    out.extend_from_slice(b"HTTP/1.1 ");
    // A status has three digits and no more.
    out.extend(digits.map(|digit| b'0' + digit as u8));
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
