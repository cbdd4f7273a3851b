use underseal_message::{
    Boundary, ByteOrder, Delimiter, Head, LengthPrefixed, ParseError, Parsed, StreamParser, Width,
};

use crate::run::{assert_messages, refusal};

#[test]
fn every_width_and_order() {
    for (width, len) in [
        (Width::U8, 1),
        (Width::U16, 2),
        (Width::U24, 3),
        (Width::U32, 4),
        (Width::U64, 8),
    ] {
        let little: Vec<u8> = [3].into_iter().chain([0; 7]).take(len).collect();
        let big: Vec<u8> = little.iter().rev().copied().collect();
        for (order, field) in [(ByteOrder::Big, &big), (ByteOrder::Little, &little)] {
            let parser = || LengthPrefixed::new(width).byte_order(order);
            let empty = vec![0; len];
            let stream = [&field[..], b"abc", &empty, field, b"def"].concat();
            assert_messages(parser, stream, &[len + 3, len, len + 3]);
            let shifted = || parser().offset(2);
            let stream = [b"__", &field[..], b"abc__", &empty].concat();
            assert_messages(shifted, stream, &[2 + len + 3, 2 + len]);
        }
    }
}

#[test]
fn a_length_of_many_bytes_is_read_in_its_order() {
    let big = || LengthPrefixed::new(Width::U16);
    let little = || big().byte_order(ByteOrder::Little);
    let stream = |field: [u8; 2]| [&field[..], &[0; 0x102]].concat();
    assert_messages(big, stream([1, 2]), &[2 + 0x102]);
    assert_messages(little, stream([2, 1]), &[2 + 0x102]);
}

#[test]
fn a_length_may_count_what_is_before_it() {
    // As in the header of a PostgreSQL message: a type, then a length that counts itself.
    let parser = || LengthPrefixed::new(Width::U32).offset(1).adjust(-4);
    assert_messages(parser, b"Q\0\0\0\x06abQ\0\0\0\x04", &[7, 5]);
    assert_eq!(
        refusal(parser, b"Q\0\0\0\x03ab"),
        "a length of 3: less than the bytes that it counts"
    );
    let parser = || LengthPrefixed::new(Width::U8).adjust(2);
    assert_messages(parser, b"\x01abc", &[4]);
}

#[test]
fn a_length_that_cannot_be_counted_is_refused() {
    let parser = || LengthPrefixed::new(Width::U64);
    assert_eq!(
        refusal(parser, [0xff; 8]),
        "a length of 18446744073709551615: more than can be counted"
    );
    let parser = || LengthPrefixed::new(Width::U64).adjust(i64::MAX);
    assert!(refusal(parser, [0xff; 8]).ends_with("more than can be counted"));
}

#[test]
fn grpc() {
    assert_messages(LengthPrefixed::grpc, b"\0\0\0\0\x02ab\x01\0\0\0\0", &[7, 5]);
    let why = refusal(LengthPrefixed::grpc, b"\x02\0\0\0\x02ab");
    assert_eq!(why, "malformed: a gRPC flag that is neither 0 nor 1");
}

#[test]
fn thrift_framed() {
    assert_messages(LengthPrefixed::thrift_framed, b"\0\0\0\x02ab", &[6]);
    let why = refusal(LengthPrefixed::thrift_framed, b"\x80\0\0\0");
    assert_eq!(
        why,
        "a length of 2147483648: negative as a Thrift frame size"
    );
}

#[test]
fn dns_over_tcp() {
    let stream = [&[0, 12][..], &[0; 12], &[0, 13], &[0; 13]].concat();
    assert_messages(LengthPrefixed::dns, stream, &[14, 15]);
    let why = refusal(LengthPrefixed::dns, [0, 11]);
    assert_eq!(
        why,
        "a length of 11: a DNS message is at least 12 bytes long"
    );
}

#[test]
fn delimiters() {
    assert_messages(Delimiter::line, "a\n\nbc\n", &[2, 1, 3]);
    assert_messages(|| Delimiter::new(b"\r\n"), "a\r\r\n\n\r\n", &[4, 3]);
    // Where a search that starts over behind each mismatch misses one.
    assert_messages(|| Delimiter::new(b"aab"), "aaabaab", &[4, 3]);
    assert_messages(|| Delimiter::new(b"abcabd"), "abcabcabdabcabd", &[9, 6]);
    assert_messages(|| Delimiter::new(b"aa"), "aaaa", &[2, 2]);
}

#[test]
fn a_delimiter_says_what_it_needs() {
    let mut parser = StreamParser::new(Delimiter::new(b"abc"), 10);
    for (bytes, needs) in [("x", 3), ("a", 2), ("b", 1), ("b", 3), ("", 3)] {
        assert_eq!(parser.next(bytes.as_bytes()), Ok(Boundary::Needs(needs)));
    }
    assert_eq!(parser.next(b"abc"), Ok(Boundary::Ends(3)));
}

#[test]
#[should_panic(expected = "a delimiter has bytes")]
fn a_delimiter_is_not_empty() {
    Delimiter::new(b"");
}

/// A length in decimal digits, a colon, and so many bytes: netstrings, with their comma.
fn netstring(head: &[u8]) -> Result<Parsed, ParseError> {
    let Some(colon) = head.iter().position(|byte| *byte == b':') else {
        return match head.len() {
            0..5 => Ok(Parsed::NeedMore(2)),
            _ => Err(ParseError::Malformed("no colon")),
        };
    };
    let digits = std::str::from_utf8(&head[..colon]).unwrap_or_default();
    match digits.parse::<u64>() {
        Ok(len) => Ok(Parsed::Message(colon as u64 + 1 + len + 1)),
        Err(_) => Err(ParseError::Malformed("no number")),
    }
}

#[test]
fn a_parser_of_ones_own() {
    assert_messages(
        || Head::new(netstring),
        "3:abc,0:,12:abcdefghijkl,",
        &[6, 3, 16],
    );
    assert_eq!(
        refusal(|| Head::new(netstring), "abc:,,"),
        "malformed: no number"
    );
    assert_eq!(
        refusal(|| Head::new(netstring), "000000"),
        "malformed: no colon"
    );
}

#[test]
fn a_parser_that_finds_an_end_before_its_bytes_is_refused() {
    let parser = || {
        Head::new(|head: &[u8]| match head.len() {
            0..4 => Ok(Parsed::NeedMore(4 - head.len() as u64)),
            _ => Ok(Parsed::Message(2)),
        })
    };
    let mut parser = StreamParser::new(parser(), 100);
    assert_eq!(parser.next(b"abc"), Ok(Boundary::Needs(1)));
    let error = parser.next(b"d").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a length of 2: a message that ended before its length was known"
    );
}
