//! The first line.

use underseal_http::Refusal::{RequestLine, Version};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("LF first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("space first", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("tab for a space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("space at the end", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine),
    refused("a method that is no token", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("a second version", b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("HTTP/0.9", b"GET /\r\n\r\n", RequestLine),
    refused("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
    refused("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
    refused("http/1.1", b"GET / http/1.1\r\nHost: a\r\n\r\n", Version),
    refused("HTTP/01.1", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", Version),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Version),
    refused("a form feed for a space", b"GET\x0c/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    refused("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
];
