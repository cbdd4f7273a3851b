//! Parsers: the same messages however a stream is split, and promises that hold.

use crate::{
    Boundary, ByteOrder, Delimiter, Head, Http1, Http2, LengthPrefixed, MessageParser, ParseError,
    Parsed, StreamParser, Width,
};

const MAX: u64 = 4096;

/// Splits a stream of any protocol but HTTP/1.1: byte 0 chooses the parser, byte 1 into what
/// pieces the stream is cut, which is the rest.
pub fn parsers(data: &[u8]) {
    let Some(([choice, cut], stream)) = data.split_first_chunk() else {
        return;
    };
    let at_a_time = usize::from(*cut) + 1;
    let check = |parser: &dyn Fn() -> Box<dyn MessageParser>| check(parser, stream, at_a_time);
    let option = choice / 8;
    let widths = [Width::U8, Width::U16, Width::U24, Width::U32, Width::U64];
    let width = widths[usize::from(option) % widths.len()];
    match choice % 8 {
        0 => check(&|| Box::new(LengthPrefixed::new(width))),
        1 => {
            let adjust = i64::from(option) - 16;
            let parser = LengthPrefixed::new(width).offset(3).adjust(adjust);
            check(&|| Box::new(parser.clone().byte_order(ByteOrder::Little)))
        }
        2 => check(&|| Box::new(Delimiter::new(b"aabaaa"))),
        3 => check(&|| Box::new(Http2::client())),
        4 => check(&|| Box::new(Http2::server())),
        5 => check(&|| Box::new(LengthPrefixed::grpc())),
        6 => check(&|| Box::new(LengthPrefixed::thrift_framed())),
        _ if option % 2 == 0 => check(&|| Box::new(LengthPrefixed::dns())),
        _ => check(&|| Box::new(Head::new(counted))),
    };
}

/// A parser of one's own: the first byte says how many bytes to look at, the last of them how many
/// more the message has.
fn counted(head: &[u8]) -> Result<Parsed, ParseError> {
    let first = usize::from(head[0] % 16);
    match head.get(first) {
        None => Ok(Parsed::NeedMore((first + 1 - head.len()) as u64)),
        Some(more) => Ok(Parsed::Message(first as u64 + 1 + u64::from(*more))),
    }
}

/// Splits an HTTP/1.1 stream: byte 0 says which side sends it and into what pieces it is cut, the
/// rest is the stream.
pub fn http1(data: &[u8]) {
    let Some((choice, stream)) = data.split_first() else {
        return;
    };
    let is_request = choice % 2 == 0;
    let parser = || match is_request {
        true => Http1::requests().max_head(1024),
        false => Http1::responses().max_head(1024),
    };
    let at_a_time = usize::from(choice / 2) + 1;
    let messages = check(&|| Box::new(parser()), stream, at_a_time);
    let mut rest = stream;
    for len in messages {
        let (message, after) = rest.split_at(len);
        agrees_with_httparse(message, is_request);
        rest = after;
    }
}

/// Whether another reader finds the same head, and a body of the length that it gives.
fn agrees_with_httparse(message: &[u8], is_request: bool) {
    let mut fields = [httparse::EMPTY_HEADER; Http1::MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    if !is_request {
        return;
    }
    let head = match request.parse(message) {
        Ok(httparse::Status::Complete(head)) => head,
        other => panic!("no head: {other:?}"),
    };
    let body = &message[head..];
    let of = |name: &str| {
        let mut fields = request.headers.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name))
    };
    match (of("content-length"), of("transfer-encoding")) {
        (Some(_), Some(_)) => panic!("two lengths"),
        (None, Some(_)) => assert!(body.ends_with(b"\r\n\r\n"), "no last chunk"),
        (None, None) => assert!(body.is_empty(), "a body from nowhere"),
        (Some(length), None) => {
            let length = str::from_utf8(length.value).expect("digits are UTF-8");
            assert_eq!(length.parse(), Ok(body.len()));
        }
    }
}

/// What came of a stream.
#[derive(Debug, PartialEq)]
struct Split {
    messages: Vec<usize>,
    is_refused: bool,
}

/// Checks a parser on `stream`, whole and in pieces; returns the lengths of its messages.
fn check(
    parser: &dyn Fn() -> Box<dyn MessageParser>,
    stream: &[u8],
    at_a_time: usize,
) -> Vec<usize> {
    let whole = split(parser(), stream, &mut || usize::MAX);
    for at_a_time in [1, at_a_time] {
        let pieces = split(parser(), stream, &mut || at_a_time);
        assert_eq!(pieces, whole, "{at_a_time} bytes at a time");
    }
    let mut seed = at_a_time;
    let pieces = split(parser(), stream, &mut || uneven(&mut seed));
    assert_eq!(pieces, whole, "uneven pieces from {at_a_time}");
    whole.messages
}

/// The lengths of pieces that follow no pattern of any protocol: most are short, some are long.
fn uneven(seed: &mut usize) -> usize {
    *seed = seed.wrapping_mul(75).wrapping_add(74) % 65_537;
    let long = if seed.is_multiple_of(5) { 64 } else { 1 };
    (*seed / 5 % 8 + 1) * long
}

fn split(
    parser: Box<dyn MessageParser>,
    stream: &[u8],
    next_piece: &mut dyn FnMut() -> usize,
) -> Split {
    let mut parser = StreamParser::new(parser, MAX);
    let mut messages = Vec::new();
    let (mut start, mut promised) = (0, 0);
    let mut at = 0;
    while at < stream.len() {
        let piece = &stream[at..stream.len().min(at.saturating_add(next_piece()))];
        match parser.next(piece) {
            Ok(Boundary::Ends(len)) => {
                at += len;
                assert!(
                    (1..=piece.len()).contains(&len),
                    "an end outside of the bytes"
                );
                assert!(at as u64 >= promised, "less came than was promised");
                assert!((at - start) as u64 <= MAX, "a message that is too long");
                messages.push(at - start);
                (start, promised) = (at, 0);
            }
            Ok(Boundary::Needs(more)) => {
                at += piece.len();
                assert!(more > 0, "a reader would wait for nothing");
                promised = promised.max(at as u64 + more);
                assert!(promised - start as u64 <= MAX, "a message that is too long");
            }
            Ok(Boundary::Rest) => {
                assert_eq!(parser.finish(), Ok(()));
                return Split {
                    messages,
                    is_refused: false,
                };
            }
            Err(error) => {
                assert_eq!(parser.next(stream), Err(error), "a refusal is for good");
                return Split {
                    messages,
                    is_refused: true,
                };
            }
        }
    }
    let is_between = parser.finish().is_ok();
    assert_eq!(is_between, start == stream.len(), "where the stream ends");
    Split {
        messages,
        is_refused: false,
    }
}
