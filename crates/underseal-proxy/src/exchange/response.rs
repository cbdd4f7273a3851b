//! Heads of responses: what of them goes on, whatever the backend and the client speak.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};
use underseal_http::fields::{Kind, kind};
use underseal_http::http1::{
    Chunks, ResponseFraming, ResponseHead, ResponseRefusal, response_length,
};

use crate::flow::Body;
use crate::values::Values;

/// Most interim responses (1xx) to one request.
pub(crate) const MAX_INTERIM: u8 = 16;

/// How many interim responses to a request have come.
#[derive(Debug, Default)]
pub(crate) struct Interims(u8);

impl Interims {
    /// Counts one more.
    ///
    /// # Errors
    /// If it is one too many: the backend's fault.
    pub(crate) fn count(&mut self) -> Result<(), ResponseRefusal> {
        self.0 += 1;
        match self.0 > MAX_INTERIM {
            true => Err(ResponseRefusal::Malformed),
            false => Ok(()),
        }
    }

    pub(crate) fn have_come(&self) -> bool {
        self.0 > 0
    }

    /// How many have come.
    pub(crate) fn number(&self) -> u64 {
        self.0.into()
    }
}

/// What the head of a response in HTTP/1.1 says of its body and of its connection.
#[derive(Debug)]
pub(crate) struct Delimited {
    pub(crate) body: Body,
    /// Whether the backend keeps its connection after the body.
    pub(crate) persists: bool,
}

impl Delimited {
    /// As a reader of HTTP/1.`minor_version` sees it, which asked by HEAD if it `answers_head`.
    ///
    /// # Errors
    /// Why it is not passed on: the backend's fault.
    pub(crate) fn of(
        head: &ResponseHead<'_>,
        minor_version: u8,
        answers_head: bool,
    ) -> Result<Self, ResponseRefusal> {
        let minor_version = head.minor_version().min(minor_version);
        let body = match head.framing(minor_version, answers_head)? {
            ResponseFraming::Empty => Body::Done,
            ResponseFraming::Length(length) => Body::Length(length),
            ResponseFraming::Chunked => Body::Chunked(Chunks::default()),
            ResponseFraming::UntilClose => Body::UntilClose,
        };
        let persists = minor_version > 0 && !head.options().close;
        Ok(Self {
            persists: persists && !matches!(body, Body::UntilClose),
            body,
        })
    }
}

/// Whether a field of a response goes on that has this status, if no Connection field names it.
pub(crate) fn passes(name: &[u8], status: u16) -> bool {
    match kind(name) {
        Kind::EndToEnd | Kind::Ours => true,
        Kind::ContentLength => !matches!(status, 100..200 | 204),
        _ => false,
    }
}

/// What goes on of a head in HTTP/1.1, for whom does not speak it.
///
/// # Errors
/// Why it is not passed on: the backend's fault.
pub(crate) fn from_http1(
    head: &ResponseHead<'_>,
    values: &Values<'_>,
) -> Result<Response<()>, ResponseRefusal> {
    let mut response = new(head.status())?;
    *response.headers_mut() = pass((head, values), |_| false)?;
    Ok(response)
}

/// The fields of `head` that go on, and do not stay `behind` for another reason.
fn pass(
    (head, values): (&ResponseHead<'_>, &Values<'_>),
    behind: impl Fn(&[u8]) -> bool,
) -> Result<HeaderMap, ResponseRefusal> {
    let malformed = ResponseRefusal::Malformed;
    let named = head.named_fields();
    let mut passed = HeaderMap::with_capacity(head.fields().count());
    for (index, (name, value)) in head.fields().enumerate() {
        if passes(name, head.status()) && !named.has(index) && !behind(name) {
            let name = HeaderName::from_bytes(name).map_err(|_| malformed)?;
            let value = HeaderValue::from_maybe_shared(values.share(value));
            passed.append(name, value.map_err(|_| malformed)?);
        }
    }
    Ok(passed)
}

/// What goes on of a head that goes over to WebSocket, for a client of HTTP/2 (RFC 8441 section 5).
///
/// # Errors
/// Why it is not passed on: the backend's fault.
pub(crate) fn switched(
    head: &ResponseHead<'_>,
    values: &Values<'_>,
) -> Result<Response<()>, ResponseRefusal> {
    let mut response = Response::new(());
    *response.headers_mut() = pass((head, values), |name| {
        name.eq_ignore_ascii_case(b"sec-websocket-accept")
    })?;
    Ok(response)
}

/// What goes on of a head in HTTP/2, which names no fields that are for the connection.
///
/// # Errors
/// Why it is not passed on: the backend's fault.
pub(crate) fn from_http2(head: Parts) -> Result<Response<()>, ResponseRefusal> {
    let status = head.status.as_u16();
    let mut response = new(status)?;
    let fields = head.headers;
    let lengths = fields.get_all(CONTENT_LENGTH).iter();
    response_length(lengths.map(HeaderValue::as_bytes))?;
    let goes_on = |name: &HeaderName| passes(name.as_str().as_bytes(), status);
    *response.headers_mut() = match fields.keys().all(goes_on) {
        true => fields,
        // Fields that are taken out would change the order of the others.
        false => {
            let mut passed = HeaderMap::with_capacity(fields.len());
            for (name, value) in fields.iter().filter(|(name, _)| goes_on(name)) {
                passed.append(name, value.clone());
            }
            passed
        }
    };
    Ok(response)
}

/// A head without fields. Nobody who does not speak HTTP/1.1 can go over to another protocol.
fn new(status: u16) -> Result<Response<()>, ResponseRefusal> {
    let status = StatusCode::from_u16(status).map_err(|_| ResponseRefusal::Malformed)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ResponseRefusal::Upgrade);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    Ok(response)
}
