//! A reader that splits a stream into messages.

use underseal_message::{Boundary, MessageParser, ParseError, StreamParser};

/// What a stream was split into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The lengths of whole messages.
    pub(crate) messages: Vec<usize>,
    /// How the last call ended, at the end of the stream.
    pub(crate) end: Result<(), ParseError>,
}

/// Splits `stream`, which comes `at_a_time` bytes at a time.
pub(crate) fn split<P: MessageParser>(
    parser: &mut StreamParser<P>,
    stream: &[u8],
    at_a_time: usize,
) -> Split {
    let mut messages = Vec::new();
    let mut seen = 0;
    for mut piece in stream.chunks(at_a_time) {
        while !piece.is_empty() {
            match parser.next(piece) {
                Ok(Boundary::Ends(len)) => {
                    messages.push(seen + len);
                    seen = 0;
                    piece = &piece[len..];
                }
                Ok(Boundary::Needs(_) | Boundary::Rest) => {
                    seen += piece.len();
                    break;
                }
                Err(error) => {
                    return Split {
                        messages,
                        end: Err(error),
                    };
                }
            }
        }
    }
    Split {
        messages,
        end: parser.finish(),
    }
}

/// Splits `stream` in one piece and byte by byte, which must be the same.
pub(crate) fn split_all_ways<P: MessageParser>(
    parser: impl Fn() -> P,
    stream: impl AsRef<[u8]>,
) -> Split {
    let stream = stream.as_ref();
    let new = || StreamParser::new(parser(), 1 << 20);
    let whole = split(&mut new(), stream, usize::MAX);
    for at_a_time in [1, 2, 3, 7] {
        assert_eq!(
            split(&mut new(), stream, at_a_time),
            whole,
            "{at_a_time} bytes at a time"
        );
    }
    whole
}

/// That `stream` is whole messages of these lengths.
#[track_caller]
pub(crate) fn assert_messages<P: MessageParser>(
    parser: impl Fn() -> P,
    stream: impl AsRef<[u8]>,
    messages: &[usize],
) {
    let expected = Split {
        messages: messages.to_vec(),
        end: Ok(()),
    };
    assert_eq!(split_all_ways(parser, stream), expected);
}

/// Why `stream` is refused, after no message.
#[track_caller]
pub(crate) fn refusal<P: MessageParser>(
    parser: impl Fn() -> P,
    stream: impl AsRef<[u8]>,
) -> String {
    let split = split_all_ways(parser, stream);
    assert_eq!(split.messages, [0; 0]);
    split.end.expect_err("it is to be refused").to_string()
}
