//! Responses, written anew for the client.

use underseal_http::fields::{Kind, kind};
use underseal_http::http1::{
    Chunks, ResponseFraming, ResponseHead, ResponseRefusal, read_response,
};

use super::answer::Keep;
use super::request::{Prepared, write_field};
use crate::flow::Body;
use crate::websocket;

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

/// For the log.
pub(super) fn word(refusal: ResponseRefusal) -> &'static str {
    match refusal {
        ResponseRefusal::Malformed => "backend-malformed",
        ResponseRefusal::TooLong => "backend-head-too-long",
        ResponseRefusal::BothLengths => "backend-both-lengths",
        ResponseRefusal::SeveralLengths => "backend-several-lengths",
        ResponseRefusal::Length => "backend-length",
        ResponseRefusal::TransferEncoding => "backend-transfer-encoding",
        ResponseRefusal::Chunk => "backend-chunk",
        ResponseRefusal::Upgrade => "backend-upgrade",
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
) -> Result<Option<Response>, ResponseRefusal> {
    let written = read_response(bytes, |head| write(head, prepared, may_persist, out))?;
    written.transpose()
}

fn write(
    head: &ResponseHead<'_>,
    prepared: &Prepared,
    may_persist: bool,
    out: &mut Vec<u8>,
) -> Result<Response, ResponseRefusal> {
    let status = head.status();
    let accepts = |key: websocket::Key| key.is_accepted_by(head);
    if status == 101 && !prepared.websocket.is_some_and(accepts) {
        return Err(ResponseRefusal::Upgrade);
    }
    // A client of HTTP/1.0 knows no chunks, and was not said to be of another.
    let minor_version = head.minor_version().min(prepared.minor_version);
    let body = match head.framing(minor_version, prepared.is_head)? {
        ResponseFraming::Empty => Body::Done,
        ResponseFraming::Length(length) => Body::Length(length),
        ResponseFraming::Chunked => Body::Chunked(Chunks::default()),
        ResponseFraming::UntilClose => Body::UntilClose,
    };
    let is_interim = status < 200;
    let keep_client = prepared.persist && may_persist && !matches!(body, Body::UntilClose);
    write_status(out, status, head.reason());
    let options = head.options();
    for (name, value) in head.fields() {
        let passes = match kind(name) {
            Kind::EndToEnd | Kind::Ours => {
                !options.names_fields || !head.is_named_by_connection(name)
            }
            Kind::ContentLength => status != 204 && !is_interim,
            Kind::TransferEncoding => matches!(body, Body::Chunked(_)) || prepared.is_head,
            Kind::Upgrade => status == 101 || status == 426,
            Kind::Hop | Kind::Connection | Kind::Te => false,
        };
        if passes {
            write_field(out, name, value);
        }
    }
    match status {
        101 => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        _ if is_interim => {}
        426 => out.extend_from_slice(b"Connection: close, Upgrade\r\n"),
        _ => out.extend_from_slice(Keep::of(keep_client, prepared.minor_version).field()),
    }
    out.extend_from_slice(b"\r\n");
    let backend_persists = minor_version > 0 && !options.close;
    Ok(Response {
        len: head.len(),
        status,
        keep_backend: backend_persists && !matches!(body, Body::UntilClose),
        keep_client: keep_client && status != 426,
        body,
    })
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
