//! What two readers might read in two ways is refused.

use underseal_message::Http1;

use crate::run::refusal;

/// A request with `fields`, and a body that some would read.
fn request(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n")
}

#[test]
fn ambiguous_lengths() {
    let cases = [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length beside Transfer-Encoding",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length beside Transfer-Encoding",
        ),
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "two Content-Lengths",
        ),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "two Content-Lengths",
        ),
        ("Content-Length: 5, 5\r\n", "two Content-Lengths"),
        (
            "Content-Length: +5\r\n",
            "a Content-Length that is no number",
        ),
        (
            "Content-Length: -5\r\n",
            "a Content-Length that is no number",
        ),
        (
            "Content-Length: 0x5\r\n",
            "a Content-Length that is no number",
        ),
        (
            "Content-Length: 5 5\r\n",
            "a Content-Length that is no number",
        ),
        ("Content-Length: \r\n", "a Content-Length that is no number"),
        (
            "Content-Length: 1000000000000000000\r\n",
            "a Content-Length that is no number",
        ),
        (
            "Content-Length: \u{665}\r\n",
            "a Content-Length that is no number",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: identity\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: chunked, identity\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: xchunked\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: \"chunked\"\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding: chunked;q=1\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
        (
            "Transfer-Encoding:\r\n",
            "a Transfer-Encoding that is not chunked alone",
        ),
    ];
    for (fields, why) in cases {
        let said = refusal(Http1::requests, request(fields));
        assert_eq!(said, format!("malformed: {why}"), "{fields:?}");
    }
    let http10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let why = "malformed: a Transfer-Encoding that is not chunked alone";
    assert_eq!(refusal(Http1::requests, http10), why);
}

#[test]
fn ambiguous_lines() {
    let cases = [
        ("A: b\nC: d\r\n", "an LF without CR"),
        ("A: b\rC: d\r\n", "a CR without LF"),
        ("A: b\r\r\n", "a CR without LF"),
        ("A: b\r\n c\r\n", "a field name"),
        ("A: b\r\n\tc\r\n", "a field name"),
        ("A : b\r\n", "a field name"),
        (" A: b\r\n", "a field name"),
        ("A\0: b\r\n", "a field name"),
        ("A: b\0\r\n", "a field value"),
        (": b\r\n", "a field name"),
        ("no colon\r\n", "a field name"),
        ("A\u{e9}: b\r\n", "a field name"),
        ("Transfer-Encoding\u{b}: chunked\r\n", "a field name"),
        ("Transfer-Encoding: \u{b}chunked\r\n", "a field value"),
    ];
    for (fields, why) in cases {
        let said = refusal(Http1::requests, request(fields));
        assert_eq!(said, format!("malformed: {why}"), "{fields:?}");
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let said = refusal(Http1::responses, response);
        assert_eq!(
            said,
            format!("malformed: {why}"),
            "{fields:?} in a response"
        );
    }
}

#[test]
fn first_lines() {
    let cases = [
        ("\r\nGET / HTTP/1.1\r\n\r\n", "an empty line before a head"),
        ("\nGET / HTTP/1.1\r\n\r\n", "an LF without CR"),
        (
            "GET / HTTP/2.0\r\n\r\n",
            "an HTTP version that is neither 1.1 nor 1.0",
        ),
        (
            "GET / HTTP/1.2\r\n\r\n",
            "an HTTP version that is neither 1.1 nor 1.0",
        ),
        ("GET /\r\n\r\n", "a method or target"),
        ("G\u{e9}T / HTTP/1.1\r\n\r\n", "a method or target"),
        ("GET  / HTTP/1.1\r\n\r\n", "a method or target"),
        (" GET / HTTP/1.1\r\n\r\n", "a method or target"),
        (
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
            "CONNECT, which starts another protocol",
        ),
    ];
    for (stream, why) in cases {
        let said = refusal(Http1::requests, stream);
        assert_eq!(said, format!("malformed: {why}"), "{stream:?}");
    }
    for stream in [
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 600 x\r\n\r\n",
    ] {
        assert!(
            refusal(Http1::responses, stream).contains("a status"),
            "{stream:?}"
        );
    }
}

#[test]
fn bad_chunks() {
    let digits = format!("{}1\r\nx\r\n", "0".repeat(15));
    let extension = format!("1;{}\r\n", "x".repeat(256));
    let size = [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        " 1\r\nx\r\n",
        "1 \r\nx\r\n",
        "0x1\r\nx\r\n",
        "1_0\r\nx\r\n",
        "1\nx\r\n",
        "1;a\nx\r\n",
        "1;a\0\r\nx\r\n",
        "1;\u{e4}\r\nx\r\n",
        "1;a\rx\r\n",
        "1\rx\r\n",
        &digits,
        &extension,
    ];
    let data = ["1\r\nxy\r\n", "1\r\nx\n0\r\n\r\n", "1\r\nx\rx\n"];
    let trailers = [
        "0\r\nA b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    for (bodies, why) in [
        (&size[..], "the line of a chunk's size"),
        (&data, "a chunk longer than its size"),
        (&trailers, "a field among trailers"),
        (&["0\r\nA: b\n\r\n"], "an LF without CR"),
    ] {
        for body in bodies {
            let stream = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            let said = refusal(Http1::requests, &stream);
            assert_eq!(said, format!("malformed: {why}"), "{body:?}");
        }
    }
}
