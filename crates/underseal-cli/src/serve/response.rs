//! Writes response heads and the short bodies of errors.

use std::io::Write as _;

/// What happens to the connection after the response, as the client must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// The default of HTTP/1.1: nothing needs to be said.
    KeepAlive,
    /// HTTP/1.0 must be told that the connection stays.
    KeepAliveSaid,
    Close,
}

/// A response head under construction at the end of a buffer.
pub(crate) struct Head<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Head<'a> {
    /// Writes the status line and the fields that every response has.
    pub(crate) fn start(
        out: &'a mut Vec<u8>,
        status: u16,
        date: &str,
        persistence: Persistence,
    ) -> Self {
        let mut head = Self { out };
        head.raw(b"HTTP/1.1 ");
        head.display(status);
        head.raw(b" ");
        head.raw(reason(status).as_bytes());
        head.raw(b"\r\nServer: underseal\r\nDate: ");
        head.raw(date.as_bytes());
        head.raw(b"\r\n");
        match persistence {
            Persistence::KeepAlive => {}
            Persistence::KeepAliveSaid => head.raw(b"Connection: keep-alive\r\n"),
            Persistence::Close => head.raw(b"Connection: close\r\n"),
        }
        head
    }

    /// Adds a field. The value must come from us, or be checked to hold no line break.
    pub(crate) fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.raw(name.as_bytes());
        self.raw(b": ");
        self.raw(value.as_ref());
        self.raw(b"\r\n");
    }

    /// Adds a field whose value is formatted in place.
    pub(crate) fn field_display(&mut self, name: &str, value: impl std::fmt::Display) {
        self.raw(name.as_bytes());
        self.raw(b": ");
        self.display(value);
        self.raw(b"\r\n");
    }

    /// Ends the head; what is appended to the buffer after this is body.
    pub(crate) fn end(mut self) {
        self.raw(b"\r\n");
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, "{value}");
    }
}

/// The reason phrase of every status that is sent.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_status_line_fields_and_a_blank_line() {
        let mut out = Vec::new();
        let mut head = Head::start(&mut out, 404, "now", Persistence::Close);
        head.field("Content-Type", "text/plain");
        head.field_display("Content-Length", 7);
        head.end();
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 404 Not Found\r\nServer: underseal\r\nDate: now\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: 7\r\n\r\n"
        );
    }
}
