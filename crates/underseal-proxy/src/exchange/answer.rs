//! Answers of our own: refusals, and what is said where a backend says nothing.

use http::StatusCode;

/// An answer of our own, and its body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        // With its reason.
        let body = format!("{status}\n");
        Self { status, body }
    }

    /// Its fields; the length is that of the body that there would be if it were not for HEAD.
    pub(crate) fn fields(&self, date: &str, mut put: impl FnMut(&'static str, &str)) {
        put("Date", date);
        put("Content-Type", "text/plain; charset=utf-8");
        put("Content-Length", &self.body.len().to_string());
        match self.status.as_u16() {
            401 => put("WWW-Authenticate", "Bearer error=\"invalid_token\""),
            405 => put("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"),
            503 => put("Retry-After", "1"),
            _ => {}
        }
    }
}
