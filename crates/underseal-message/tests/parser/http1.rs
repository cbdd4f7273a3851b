use underseal_message::{Boundary, Http1, ParseError, StreamParser};

use crate::run::{Split, assert_messages, split_all_ways};

#[test]
fn requests() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /x HTTP/1.1\r\ncontent-LENGTH:  5 \r\n\r\nhello";
    let empty = "PUT /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
    let stream = [get, post, empty, get].concat();
    let lens = [get, post, empty, get].map(str::len);
    assert_messages(Http1::requests, stream, &lens);
}

#[test]
fn chunked_bodies() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhe\r\no\r\nA\r\n0123456789\r\n000\r\n\r\n",
        "1;name=value\r\nx\r\n2;a;b=\"c d\"\r\nxy\r\n0;last\r\n\r\n",
        "0\r\nChecksum: 1\r\nother: 2\r\n\r\n",
        "1\r\nx\r\n0\r\nExpires: never\r\n\r\n",
    ] {
        let message = [head, body].concat();
        assert_messages(Http1::requests, message.repeat(2), &[message.len(); 2]);
    }
}

#[test]
fn responses() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    let chunked = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let nothing = "HTTP/1.1 204 No Content\r\n\r\n";
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n";
    let all = [ok, chunked, early, ok, nothing, not_modified, ok];
    assert_messages(Http1::responses, all.concat(), &all.map(str::len));
}

#[test]
fn a_body_without_a_length_ends_with_the_stream() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let stream = [head, "HTTP/1.1 200 OK\r\n\r\nor anything"].concat();
        assert_messages(Http1::responses, &stream, &[]);
        let mut parser = StreamParser::new(Http1::responses(), 100);
        assert_eq!(parser.next(stream.as_bytes()), Ok(Boundary::Rest));
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let parser = || {
        let mut parser = Http1::responses();
        parser.answers_head(true);
        parser
    };
    let all = [early, head, ok];
    assert_messages(parser, all.concat(), &all.map(str::len));
}

#[test]
fn a_body_is_announced() {
    let mut parser = StreamParser::new(Http1::requests(), 1 << 20);
    let head = b"PUT / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(parser.next(head), Ok(Boundary::Needs(1000)));
    assert_eq!(parser.next(&[0; 999]), Ok(Boundary::Needs(1)));
    assert_eq!(parser.next(&[0; 9]), Ok(Boundary::Ends(1)));
}

#[test]
fn what_is_needed_is_the_least_that_can_follow() {
    let steps: &[(&str, u64)] = &[
        ("G", 4),
        ("ET / HTTP/1.1\r", 3),
        ("\n", 2),
        ("Transfer-Encoding: chunked\r\n", 2),
        ("\r", 1),
        ("\n", 5),
        ("1", 10),
        ("0\r", 24),
        ("\n", 23),
        ("0123456789abcdef", 7),
        ("\r", 6),
        ("\n", 5),
        ("0", 4),
        (";x\r", 3),
        ("\n", 2),
        ("T", 4),
        (":\r\n", 2),
    ];
    let mut parser = StreamParser::new(Http1::requests(), 1 << 20);
    for (bytes, needs) in steps {
        let boundary = parser.next(bytes.as_bytes());
        assert_eq!(boundary, Ok(Boundary::Needs(*needs)), "after {bytes:?}");
    }
    assert_eq!(parser.next(b"\r\nGET"), Ok(Boundary::Ends(2)));
}

#[test]
fn a_chunked_body_is_bounded_with_its_message() {
    let mut parser = StreamParser::new(Http1::requests(), 100);
    let head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parser.next(head), Ok(Boundary::Needs(5)));
    // 46 + 4 + 48 would fit; the least that can follow does not.
    let error = parser.next(b"30\r\n").unwrap_err();
    assert_eq!(
        error,
        ParseError::TooLong {
            len: 46 + 4 + 48 + 7,
            max: 100
        }
    );
    let mut parser = StreamParser::new(Http1::requests(), 0xfff_ffff_ffff_ffff);
    parser.next(head).unwrap();
    assert!(matches!(
        parser.next(b"fffffffffffffff\r\n"),
        Err(ParseError::TooLong { .. })
    ));
}

#[test]
fn heads_and_trailers_are_bounded() {
    let head = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
    let bounded = |max| move || Http1::requests().max_head(max);
    assert_messages(bounded(head.len()), head, &[head.len()]);
    let too_long = |split: Split| matches!(split.end, Err(ParseError::TooLong { max: 23, .. }));
    // Byte by byte or at once, the end is the same, but not what it saw.
    let mut parser = StreamParser::new(Http1::requests().max_head(head.len() - 1), 1 << 20);
    assert!(too_long(crate::run::split(
        &mut parser,
        head.as_bytes(),
        usize::MAX
    )));
    let mut parser = StreamParser::new(Http1::requests().max_head(head.len() - 1), 1 << 20);
    assert!(too_long(crate::run::split(&mut parser, head.as_bytes(), 1)));
    let chunked = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let trailers = |len: usize| [chunked, "A: ", &"x".repeat(len - 7), "\r\n\r\n"].concat();
    assert_messages(bounded(50), trailers(50), &[49 + 50]);
    assert!(split_all_ways(bounded(50), trailers(51)).end.is_err());
}

#[test]
fn many_fields_are_refused() {
    let fields = |n: usize| ["GET / HTTP/1.1\r\n", &"A: b\r\n".repeat(n), "\r\n"].concat();
    assert_messages(Http1::requests, fields(128), &[16 + 128 * 6 + 2]);
    let end = split_all_ways(Http1::requests, fields(129)).end;
    assert_eq!(end, Err(ParseError::Malformed("more than 128 fields")));
}
