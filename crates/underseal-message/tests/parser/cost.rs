//! A parser is given each byte at most once, and those of a body of known length never.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::{
    Boundary, Delimiter, Head, Http1, Http2, LengthPrefixed, MessageParser, ParseError, Parsed,
    StreamParser, Width,
};

/// Counts the bytes that a parser is given.
struct Counting<P>(P, usize);

impl<P: MessageParser> MessageParser for Counting<P> {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        self.1 += bytes.len();
        self.0.parse(bytes)
    }
}

/// Gives `stream` to `parser` in pieces of the lengths of `pieces`, as a reader does that gives
/// what follows a message again; returns how many bytes the parser was given.
fn cost<P: MessageParser>(parser: P, stream: &[u8], pieces: &[usize]) -> usize {
    let mut parser = StreamParser::new(Counting(parser, 0), u64::MAX);
    let mut pieces = pieces.iter().cycle();
    let mut rest = stream;
    while let Some(piece) = pieces.next().map(|len| &rest[..rest.len().min(*len)])
        && !rest.is_empty()
    {
        rest = match parser.next(piece) {
            Ok(Boundary::Ends(len)) => &rest[len..],
            Ok(_) => &rest[piece.len()..],
            Err(error) => panic!("{error}"),
        };
    }
    parser.parser_mut().1
}

type NewParser = Box<dyn Fn() -> Box<dyn MessageParser>>;

/// 50 messages of each sort.
fn streams() -> [(NewParser, Vec<u8>); 5] {
    let frame = [&[0, 0, 40, 0, 0, 0, 0, 0, 1][..], &[1; 40]].concat();
    let request = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        14\r\n0123456789abcdef0123\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    [
        (
            Box::new(|| Box::new(LengthPrefixed::new(Width::U16)) as Box<dyn MessageParser>),
            [&[0, 60][..], &[0; 60]].concat().repeat(50),
        ),
        (
            Box::new(|| Box::new(Delimiter::new(b"aab"))),
            b"aaaaaaaaaaaab".repeat(50),
        ),
        (Box::new(|| Box::new(Http2::server())), frame.repeat(50)),
        (
            Box::new(|| Box::new(Http1::requests())),
            request.as_bytes().repeat(50),
        ),
        (
            Box::new(|| {
                Box::new(Head::new(|head: &[u8]| {
                    Ok(Parsed::Message(1 + u64::from(head[0])))
                }))
            }),
            [&[9][..], &[0; 9]].concat().repeat(50),
        ),
    ]
}

proptest! {
    #[test]
    fn bytes_are_looked_at_once(pieces in vec(1..40usize, 1..8)) {
        for (parser, stream) in streams() {
            let longest = pieces.iter().max().expect("there is one");
            let cost = cost(parser(), &stream, &pieces);
            // What follows a message in the same piece is given again, once for each message.
            prop_assert!(cost <= stream.len() + 50 * longest, "{} for {}", cost, stream.len());
        }
    }
}

#[test]
fn byte_by_byte_costs_no_more_than_the_bytes() {
    for (parser, stream) in streams() {
        assert!(cost(parser(), &stream, &[1]) <= stream.len());
    }
}

#[test]
fn a_body_of_known_length_is_not_looked_at() {
    let stream = [&[0xff, 0xff][..], &[0; 0xffff]].concat();
    assert_eq!(cost(LengthPrefixed::new(Width::U16), &stream, &[1]), 2);
    let head = "PUT / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n";
    let stream = [head.as_bytes(), &[0; 65_536]].concat();
    assert_eq!(cost(Http1::requests(), &stream, &[1]), head.len());
}

#[test]
fn a_closure_is_asked_when_what_it_needs_is_there() {
    let mut looked_at = 0;
    let parser = Head::new(|head: &[u8]| {
        looked_at += head.len();
        match head.len() {
            0..100 => Ok(Parsed::NeedMore(100 - head.len() as u64)),
            _ => Ok(Parsed::Message(200)),
        }
    });
    cost(parser, &[0; 200], &[1]);
    assert_eq!(looked_at, 1 + 100);
}
