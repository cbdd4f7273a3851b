//! What looks odd and has one reading, and what is plain.

use super::{Case, Reading, read};

const fn request(method: &'static str, path: &'static str, content: usize) -> Reading {
    Reading {
        method,
        path,
        host: "a",
        content,
    }
}

const fn got(path: &'static str) -> Reading {
    request("GET", path, 0)
}

const fn posted(content: usize) -> Reading {
    request("POST", "/", content)
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    read("no body", target!("/a"), got("/a")),
    read("a POST without body", post!("X: y", ""), posted(0)),
    read("a length", post!("Content-Length: 6", "0\r\n\r\nX"), posted(6)),
    read("a length with zeros in front", post!("Content-Length: 007", "7 bytes"), posted(7)),
    read("a length of zero", post!("Content-Length: 0", ""), posted(0)),
    read("a length with space around", post!("Content-Length: \t 3 \t", "abc"), posted(3)),
    read("a GET with a body", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", request("GET", "/", 3)),
    read("a PUT", b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nz", request("PUT", "/x", 1)),
    read("a DELETE", b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n", request("DELETE", "/x", 0)),
    read("a PATCH of chunks", b"PATCH /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n", request("PATCH", "/x", 1)),
    read("a method in lower case", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", request("get", "/", 0)),
    read("a method of one's own", b"M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n", request("M-SEARCH", "/x", 0)),
    read("chunks", post!("transfer-ENCODING:  Chunked \t", "5\r\nhello\r\n0\r\n\r\n"), posted(5)),
    read("no chunks", chunks!("0\r\n\r\n"), posted(0)),
    read("chunks that look like a request", chunks!("17\r\nGET /admin HTTP/1.1\r\n\r\n\r\n0\r\n\r\n"), posted(23)),
    read("an empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", got("/")),
    read("a colon without a port in Host", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", got("/")),
    read("chunks with extensions", chunks!("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"), posted(5)),
    read("sizes with zeros in front, in both cases", chunks!("00A\r\n0123456789\r\n00b\r\n0123456789a\r\n000\r\n\r\n"), posted(21)),
    read("chunks with trailers", chunks!("5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"), posted(5)),
    read("dot segments", target!("/a/%2e%2e/./b"), got("/b")),
    read("dot segments above the root", target!("/../../b"), got("/b")),
    read("a dot segment at the end", target!("/a/b/.."), got("/a/")),
    read("many slashes", target!("//a//b"), got("/a/b")),
    read("a slash at the end", target!("/a/"), got("/a/")),
    read("letters encoded", target!("/%61dmin/%7euser"), got("/admin/~user")),
    read("encoded twice", target!("/%252e%252e/b"), got("/%252e%252e/b")),
    read("overlong UTF-8, encoded", target!("/%c0%ae"), got("/%C0%AE")),
    read("a query that looks like a path", target!("/a?/../b%2f"), got("/a")),
    read("a query with a question mark", target!("/a?b?c"), got("/a")),
    read("absolute-form", target!("HTTP://A:80/b?c"), got("/b")),
    read("absolute-form without path", target!("http://a"), got("/")),
    read("the server", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", request("OPTIONS", "*", 0)),
    read("a tunnel", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", request("CONNECT", "", 0)),
    read("HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", got("/")),
    read("HTTP/1.0 with a length", b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", posted(3)),
    read("a Host with capitals and port", b"GET / HTTP/1.1\r\nHost: A:8080\r\n\r\n", got("/")),
    read("a Host with a dot at its end", b"GET / HTTP/1.1\r\nHost: a.\r\n\r\n", got("/")),
    read("a field that only looks like one", post!("X-Transfer-Encoding: chunked", ""), posted(0)),
    read("a length with an underscore", post!("Content_Length: 6", ""), posted(0)),
    read("an underscore for a hyphen", post!("Transfer_Encoding: chunked\r\nContent-Length: 3", "abc"), posted(3)),
    read("an empty value", get!("X:"), got("/")),
    read("opaque bytes in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n", got("/")),
    read("a colon in a value", get!("X: Content-Length: 6"), got("/")),
    read("Expect", post!("Expect: 100-continue\r\nContent-Length: 3", "abc"), posted(3)),
    read("Connection of the usual kind", get!("Connection: keep-alive"), got("/")),
];
