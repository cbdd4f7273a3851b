//! How a head says where its body ends (RFC 9112 section 6.3).

use httparse::{EMPTY_HEADER, Header, Request, Response, Status};

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
    let framing = of_fields(request.headers, request.version)?;
    Ok(framing.unwrap_or(Framing::Length(0)))
}

/// The status of a response, and where its body ends.
pub(super) fn of_response(head: &[u8]) -> Result<(u16, Framing), ParseError> {
    let mut fields = [EMPTY_HEADER; Http1::MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    complete(response.parse(head))?;
    let status = response.code.unwrap_or_default();
    let framing = of_fields(response.headers, response.version)?;
    Ok((
        status,
        match status {
            0..100 | 600.. => return Err(ParseError::Malformed("a status that is none")),
            101 => Framing::Rest,
            100..200 | 204 | 304 => Framing::Length(0),
            _ => framing.unwrap_or(Framing::Rest),
        },
    ))
}

/// Checks trailers: they must not be able to change where a message ends.
pub(super) fn check_trailers(trailers: &[u8]) -> Result<(), ParseError> {
    let mut fields = [EMPTY_HEADER; Http1::MAX_FIELDS];
    let parsed = httparse::parse_headers(trailers, &mut fields);
    let fields = match parsed.map_err(explain)? {
        Status::Complete((_, fields)) => fields,
        Status::Partial => return Err(ParseError::Malformed("trailers that do not end")),
    };
    let is_framing = |field: &Header<'_>| {
        let names = ["content-length", "transfer-encoding", "host"];
        names
            .iter()
            .any(|name| field.name.eq_ignore_ascii_case(name))
    };
    match fields.iter().any(is_framing) {
        true => Err(ParseError::Malformed("a framing field among trailers")),
        false => Ok(()),
    }
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

/// What the fields say, if anything.
fn of_fields(fields: &[Header<'_>], version: Option<u8>) -> Result<Option<Framing>, ParseError> {
    let length = single(fields, "content-length", "two Content-Length fields")?;
    let coding = single(fields, "transfer-encoding", "two Transfer-Encoding fields")?;
    match (length, coding) {
        (None, None) => Ok(None),
        (Some(length), None) => content_length(length).map(Some),
        (Some(_), Some(_)) => Err(ParseError::Malformed(
            "Content-Length beside Transfer-Encoding",
        )),
        (None, Some(_)) if version != Some(1) => {
            Err(ParseError::Malformed("Transfer-Encoding in HTTP/1.0"))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Some(Framing::Chunked))
        }
        (None, Some(_)) => Err(ParseError::Malformed(
            "a Transfer-Encoding that is not chunked",
        )),
    }
}

/// The value of the only field of that name. One that comes twice is refused even where both say
/// the same: who is next may not look at the same one.
fn single<'h>(
    fields: &[Header<'h>],
    name: &str,
    twice: &'static str,
) -> Result<Option<&'h [u8]>, ParseError> {
    let mut values = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    let first = values.next().map(|field| field.value);
    match values.next() {
        None => Ok(first),
        Some(_) => Err(ParseError::Malformed(twice)),
    }
}

/// Digits, and nothing but digits (RFC 9110 section 8.6).
fn content_length(value: &[u8]) -> Result<Framing, ParseError> {
    let bad = ParseError::Malformed("a Content-Length that is no number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    let digits = std::str::from_utf8(value).map_err(|_| bad)?;
    let length = digits.parse().map_err(|_| ParseError::BadLength {
        length: u64::MAX,
        why: "a Content-Length that is not counted so far",
    })?;
    Ok(Framing::Length(length))
}
