//! How a head says where its body ends: by the rule of `underseal-http`, in this crate's words.

use httparse::{EMPTY_HEADER, Header, Request, Response, Status};
use underseal_http::http1::{BodyLength, ResponseFraming};
use underseal_http::{self as http, Refusal};

use super::Http1;
use crate::ParseError;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
    /// With the stream.
    Rest,
}

pub(super) fn of_request(head: &[u8]) -> Result<Framing, ParseError> {
    let mut fields = [EMPTY_HEADER; Http1::MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    complete(request.parse(head))?;
    if request.method == Some("CONNECT") {
        return Err(ParseError::Malformed(
            "CONNECT, which starts another protocol",
        ));
    }
    let length = body_length(request.headers)?;
    let framing = length.of_request(request.version.unwrap_or_default());
    Ok(match framing.map_err(refused)? {
        http::Framing::Empty => Framing::Length(0),
        http::Framing::Length(length) => Framing::Length(length),
        http::Framing::Chunked => Framing::Chunked,
    })
}

/// The status of a response, to a HEAD if it `answers_head`, and where its body ends.
pub(super) fn of_response(head: &[u8], answers_head: bool) -> Result<(u16, Framing), ParseError> {
    let mut fields = [EMPTY_HEADER; Http1::MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    complete(response.parse(head))?;
    let (status, version) = (response.code, response.version);
    let (status, version) = (status.unwrap_or_default(), version.unwrap_or_default());
    let length = body_length(response.headers)?;
    let framing = length.of_response(version, status, answers_head);
    let framing = match (status, framing.map_err(refused)?) {
        (..=99 | 600.., _) => return Err(ParseError::Malformed("a status that is none")),
        (101, _) | (_, ResponseFraming::UntilClose) => Framing::Rest,
        (_, ResponseFraming::Empty) => Framing::Length(0),
        (_, ResponseFraming::Length(length)) => Framing::Length(length),
        (_, ResponseFraming::Chunked) => Framing::Chunked,
    };
    Ok((status, framing))
}

fn complete(parsed: httparse::Result<usize>) -> Result<(), ParseError> {
    match parsed.map_err(explain)? {
        Status::Complete(_) => Ok(()),
        // The section has its empty line, so httparse saw the end in another place.
        Status::Partial => Err(ParseError::Malformed("a head that does not end")),
    }
}

fn explain(error: httparse::Error) -> ParseError {
    ParseError::Malformed(match error {
        httparse::Error::HeaderName => "a field name",
        httparse::Error::HeaderValue => "a field value",
        httparse::Error::NewLine => "the end of a line",
        httparse::Error::Status => "a status",
        httparse::Error::Token => "a method or target",
        httparse::Error::TooManyHeaders => "more than 128 fields",
        httparse::Error::Version => "an HTTP version that is neither 1.1 nor 1.0",
    })
}

fn body_length(fields: &[Header<'_>]) -> Result<BodyLength, ParseError> {
    let mut length = BodyLength::default();
    for field in fields {
        length
            .note(field.name.as_bytes(), field.value)
            .map_err(refused)?;
    }
    Ok(length)
}

fn refused(refusal: Refusal) -> ParseError {
    ParseError::Malformed(match refusal {
        Refusal::BothLengths => "Content-Length beside Transfer-Encoding",
        Refusal::SeveralLengths => "two Content-Lengths",
        Refusal::Length => "a Content-Length that is no number",
        _ => "a Transfer-Encoding that is not chunked alone",
    })
}
