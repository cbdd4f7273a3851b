use proptest::prelude::*;

use super::*;

fn refusal(head: &str) -> Refusal {
    Request::parse(head.as_bytes()).expect_err("it is to be refused")
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
    assert_eq!((request.path, request.query), (&b"/a"[..], Some(&b"b"[..])));
    assert_eq!(request.range, Some(&b"bytes=0-1"[..]));
    assert_eq!(request.user_agent, Some(&b"t"[..]));
    assert_eq!(request.body, Framing::Empty);
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

/// What is refused is the reader's to say; here is what it has to look at besides the fields.
#[test]
fn lines_hosts_targets_and_lengths_are_looked_at() {
    for (head, expected) in [
        ("GET / HTTP/1.1\nHost: h\n\n", Refusal::BareLineFeed),
        ("\r\n\r\nGET / HTTP/1.0\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/2.0\r\n\r\n", Refusal::Version),
        ("GET / HTTP/1.1\r\n\r\n", Refusal::NoHost),
        ("GET / HTTP/1.0\r\nHost: a@b\r\n\r\n", Refusal::Host),
        ("GET a HTTP/1.0\r\n\r\n", Refusal::Target),
        ("GET /a#b HTTP/1.0\r\n\r\n", Refusal::Target),
        (
            "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
            Refusal::HostDisagrees,
        ),
        (
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::TransferEncoding,
        ),
        (
            "PUT / HTTP/1.0\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
            Refusal::SeveralLengths,
        ),
    ] {
        assert_eq!(refusal(head), expected, "{head:?}");
    }
    for length in [65, 40_000] {
        let method = "A".repeat(length);
        assert_eq!(refusal(&method), Refusal::MethodTooLong);
        let whole = format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(refusal(&whole), Refusal::MethodTooLong);
    }
}

#[test]
fn a_body_is_told_and_not_read() {
    for (fields, body) in [
        ("", Framing::Empty),
        ("Content-Length: 7\r\n", Framing::Length(7)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
    ] {
        let head = format!("PUT / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(parsed(&head).body, body, "{fields}");
    }
}

/// curl sends what was typed, in the path and behind it.
#[test]
fn letters_beyond_ascii_are_kept() {
    let request = parsed("GET /\u{e4}?\u{f6} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(request.path, "/\u{e4}".as_bytes());
    assert_eq!(request.query, Some("\u{f6}".as_bytes()));
}

#[test]
fn targets_come_in_every_form() {
    for (target, path, query) in [
        ("GET /a?b?c", "/a", Some("b?c")),
        ("GET https://h:1/a?b", "/a", Some("b")),
        ("GET HTTP://h", "/", None),
        ("OPTIONS *", "*", None),
        ("CONNECT h:1", "", None),
    ] {
        let head = format!("{target} HTTP/1.0\r\n\r\n");
        let request = parsed(&head);
        assert_eq!(request.path, path.as_bytes(), "{target}");
        assert_eq!(request.query, query.map(str::as_bytes), "{target}");
    }
}

#[test]
fn what_is_no_list_and_comes_twice_says_nothing() {
    let twice = "Range: bytes=0-1\r\nRange: bytes=0-1\r\n";
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{twice}{twice}\r\n");
    assert_eq!(parsed(&head).range, Some(&b""[..]));
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
}
