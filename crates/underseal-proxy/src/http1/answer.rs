//! Answers of our own: refusals, and what is said where a backend says nothing.

use std::io::Write as _;

/// Writes a whole answer; `keep` says whether the client may go on. There is no body for HEAD, and
/// the length is that of the one there would be. Returns how long the body is that there is.
pub(super) fn write(
    out: &mut Vec<u8>,
    status: u16,
    date: &str,
    keep: Keep,
    with_body: bool,
) -> u64 {
    let reason = reason(status);
    // Three digits, a space, the reason, a line feed.
    let length = reason.len() + 5;
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n"
    );
    match status {
        401 => out.extend_from_slice(b"WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"),
        405 => out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"),
        503 => out.extend_from_slice(b"Retry-After: 1\r\n"),
        _ => {}
    }
    out.extend_from_slice(keep.field());
    out.extend_from_slice(b"\r\n");
    let head = out.len();
    if with_body {
        let _ = writeln!(out, "{status} {reason}");
    }
    (out.len() - head) as u64
}

/// What a response says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Close,
    /// HTTP/1.1, where it goes without saying.
    Implied,
    /// HTTP/1.0.
    Said,
}

impl Keep {
    pub(super) fn of(persist: bool, minor_version: u8) -> Self {
        match (persist, minor_version) {
            (false, _) => Self::Close,
            (true, 0) => Self::Said,
            (true, _) => Self::Implied,
        }
    }

    /// The field, with its line end, or nothing.
    pub(super) fn field(self) -> &'static [u8] {
        match self {
            Self::Close => b"Connection: close\r\n",
            Self::Implied => b"",
            Self::Said => b"Connection: keep-alive\r\n",
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
