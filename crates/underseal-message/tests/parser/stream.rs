use underseal_message::{
    Boundary, Delimiter, Head, LengthPrefixed, MessageParser, ParseError, Parsed, StreamParser,
    Width,
};

fn prefixed(max: u64) -> StreamParser<LengthPrefixed> {
    StreamParser::new(LengthPrefixed::new(Width::U16), max)
}

#[test]
fn a_message_is_announced_before_it_is_there() {
    let mut parser = prefixed(100);
    assert_eq!(parser.next(b""), Ok(Boundary::Needs(1)));
    assert_eq!(parser.next(&[0]), Ok(Boundary::Needs(1)));
    assert_eq!(parser.next(&[5, 1]), Ok(Boundary::Needs(4)));
    assert_eq!(parser.next(b""), Ok(Boundary::Needs(4)));
    assert_eq!(parser.seen(), 3);
    assert_eq!(parser.next(&[2, 3]), Ok(Boundary::Needs(2)));
    assert_eq!(parser.next(&[4, 5, 0, 1]), Ok(Boundary::Ends(2)));
    assert_eq!(parser.seen(), 0);
    assert_eq!(parser.next(&[0, 1]), Ok(Boundary::Needs(1)));
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_length() {
    let too_long = Err(ParseError::TooLong { len: 11, max: 10 });
    assert_eq!(prefixed(10).next(&[0, 8]), Ok(Boundary::Needs(8)));
    let mut parser = prefixed(10);
    assert_eq!(parser.next(&[0, 9]), too_long);
    // For good, whatever comes.
    assert_eq!(parser.next(&[0, 1, 2]), too_long);
    assert_eq!(parser.finish(), too_long.map(|_: Boundary| ()));
    let mut parser = prefixed(10);
    assert_eq!(parser.next(&[0]), Ok(Boundary::Needs(1)));
    assert_eq!(parser.next(&[9]), too_long);
}

#[test]
fn a_message_without_an_end_is_refused_when_it_gets_too_long() {
    let mut parser = StreamParser::new(Delimiter::line(), 10);
    for _ in 0..9 {
        assert_eq!(parser.next(b"x"), Ok(Boundary::Needs(1)));
    }
    assert_eq!(parser.clone().next(b"\n"), Ok(Boundary::Ends(1)));
    assert_eq!(
        parser.next(b"x"),
        Err(ParseError::TooLong { len: 11, max: 10 })
    );
    let mut parser = StreamParser::new(Delimiter::line(), 10);
    let line = [&[b'x'; 10][..], b"\n"].concat();
    assert_eq!(
        parser.next(&line),
        Err(ParseError::TooLong { len: 11, max: 10 })
    );
}

#[test]
fn a_stream_may_end_between_messages_only() {
    let mut parser = prefixed(100);
    assert_eq!(parser.finish(), Ok(()));
    for byte in [0, 2, 1] {
        parser.next(&[byte]).unwrap();
    }
    assert_eq!(parser.finish(), Err(ParseError::Truncated { seen: 3 }));
    assert_eq!(parser.next(&[2]), Ok(Boundary::Ends(1)));
    assert_eq!(parser.finish(), Ok(()));
}

#[test]
fn what_ends_with_the_stream_has_no_maximum() {
    let mut parser = StreamParser::new(Head::new(|_: &[u8]| Ok(Parsed::Rest)), 4);
    for _ in 0..3 {
        assert_eq!(parser.next(b"any length"), Ok(Boundary::Rest));
    }
    assert_eq!(parser.finish(), Ok(()));
}

/// Says whatever it is told to.
struct Says(Parsed);

impl MessageParser for Says {
    fn parse(&mut self, _: &[u8]) -> Result<Parsed, ParseError> {
        Ok(self.0)
    }
}

#[test]
fn a_parser_that_is_wrong_does_no_harm() {
    let next = |parsed, max| StreamParser::new(Says(parsed), max).next(b"abc");
    assert!(matches!(
        next(Parsed::Message(0), 100),
        Err(ParseError::BadLength { length: 0, .. })
    ));
    assert_eq!(next(Parsed::NeedMore(0), 100), Ok(Boundary::Needs(1)));
    let len = u64::MAX;
    let (more, max) = (Parsed::NeedMore(len), u64::MAX - 1);
    assert_eq!(next(more, max), Err(ParseError::TooLong { len, max }));
}
