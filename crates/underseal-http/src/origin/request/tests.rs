use proptest::prelude::*;

use super::*;

fn status(head: &str) -> u16 {
    match Request::parse(head.as_bytes()) {
        Err(refused) => refused.status,
        Ok(found) => panic!("not refused: {found:?}"),
    }
}

fn parsed(head: &str) -> Request<'_> {
    let (request, length) = Request::parse(head.as_bytes())
        .expect("well-formed")
        .expect("complete");
    assert_eq!(length, head.len());
    request
}

#[test]
fn a_plain_request_is_read() {
    let request = parsed(
        "GET /a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    assert_eq!((request.method, request.target), ("GET", "/a?b"));
    assert!(request.keep_alive && request.accepts_gzip && !request.expect);
    assert_eq!(request.range, Some(&b"bytes=0-1"[..]));
    assert_eq!(request.user_agent, Some(&b"t"[..]));
    assert_eq!(request.body, 0);
}

#[test]
fn connection_persists_by_version_and_field() {
    for (head, keep) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: te, close\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, keep-alive\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ] {
        assert_eq!(parsed(head).keep_alive, keep, "{head}");
    }
}

#[test]
fn incomplete_heads_wait() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for length in 0..head.len() {
        assert!(
            matches!(Request::parse(&head[..length]), Ok(None)),
            "{length}"
        );
    }
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let two = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\n";
    let (request, length) = Request::parse(two).expect("well-formed").expect("complete");
    assert_eq!((request.target, length), ("/1", 28));
}

#[test]
fn malformed_heads_are_refused() {
    for (head, expected) in [
        ("GET /\r\n\r\n", 400),
        ("\x16\x03\x01\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/x\r\n\r\n", 400),
        ("GET / HTTQ/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=0-2\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(status(head), expected, "{head:?}");
    }
}

#[test]
fn bodies_have_one_clear_length_or_none() {
    for (fields, expected) in [
        ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +1\r\n", 400),
        ("Content-Length: 1, 1\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 413),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: identity\r\n", 501),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(status(&head), expected, "{fields:?}");
    }
    let same = "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(parsed(same).body, 7);
    assert_eq!(
        status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
}

#[test]
fn floods_are_refused() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8200));
    assert_eq!(status(&long_target), 414);
    assert_eq!(status(&format!("GET /{}", "a".repeat(9000))), 414);
    for length in [65, 9000, 40_000] {
        let long_method = format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(length));
        assert_eq!(status(&long_method), 501);
        assert_eq!(status(&long_method[..length]), 501);
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(status(&many), 431);
    let large = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MAX_HEAD));
    assert_eq!(status(&large), 431);
    let large_and_complete = format!("{large}\r\n\r\n");
    assert_eq!(status(&large_and_complete), 431);
}

#[test]
fn list_fields_in_several_lines_are_one_list() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nIf-Match: \"a\"\r\nif-match: \"b\"\r\n\r\n";
    assert_eq!(parsed(head).if_match.as_deref(), Some(&b"\"a\",\"b\""[..]));
}

#[test]
fn blank_lines_are_seen_with_and_without_carriage_return() {
    assert!(has_blank_line(b"a\r\n\r\n") && has_blank_line(b"a\n\nb") && has_blank_line(b"\n\r\n"));
    assert!(!has_blank_line(b"a\r\nb\r\n") && !has_blank_line(b"") && !has_blank_line(b"\r\r\n"));
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes);
    }

    #[test]
    fn a_complete_head_always_shows_a_blank_line(fields in "([A-Za-z]{1,5}: [a-z]{0,5}\r?\n){0,4}") {
        let head = format!("GET / HTTP/1.1\nHost: h\n{fields}\r\n");
        if let Ok(Some((_, length))) = Request::parse(head.as_bytes()) {
            prop_assert!(has_blank_line(&head.as_bytes()[..length]));
        }
    }
}
