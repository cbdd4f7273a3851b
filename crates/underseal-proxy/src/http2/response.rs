//! Heads of responses: those of backends, held against what would make two programs see two
//! responses, and our own.

use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Bytes;

use underseal_http::fields::{Kind, Options, kind, listed};
use underseal_http::http1::ResponseRefusal;

/// What a client is given of a backend's head.
///
/// # Errors
/// Why it is not passed on: the backend's fault.
pub(super) fn forwarded<B>(head: &Response<B>) -> Result<Response<()>, ResponseRefusal> {
    let status = head.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ResponseRefusal::Upgrade);
    }
    let fields = head.headers();
    if fields.contains_key(CONTENT_LENGTH) && fields.contains_key(TRANSFER_ENCODING) {
        return Err(ResponseRefusal::BothLengths);
    }
    if fields.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(ResponseRefusal::SeveralLengths);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = end_to_end(fields, status);
    Ok(response)
}

fn end_to_end(fields: &HeaderMap, status: StatusCode) -> HeaderMap {
    let mut options = Options::default();
    for value in fields.get_all(CONNECTION) {
        options.note(value.as_bytes());
    }
    let mut passed = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let passes = match kind(name.as_str().as_bytes()) {
            Kind::EndToEnd | Kind::Ours => !options.names_fields || !is_named(fields, name),
            Kind::ContentLength => status != StatusCode::NO_CONTENT && !status.is_informational(),
            _ => false,
        };
        if passes {
            passed.append(name, value.clone());
        }
    }
    passed
}

fn is_named(fields: &HeaderMap, name: &http::HeaderName) -> bool {
    let mut options = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| listed(value.as_bytes()));
    options.any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// An answer of our own, and its body.
pub(super) fn own(status: u16, date: &str) -> (Response<()>, Bytes) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let reason = status.canonical_reason().unwrap_or("Error");
    let body = Bytes::from(format!("{} {reason}\n", status.as_u16()));
    let mut response = Response::new(());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(date) {
        fields.insert(DATE, date);
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    fields.insert(CONTENT_TYPE, plain);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    match status {
        StatusCode::UNAUTHORIZED => {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            fields.insert(WWW_AUTHENTICATE, challenge);
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let methods = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
            fields.insert(ALLOW, HeaderValue::from_static(methods));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    (response, body)
}
