//! Answers of our own.

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};

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
