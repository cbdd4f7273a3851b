//! Where one message of a byte stream ends and the next one starts.

mod delimiter;
mod head;
mod http1;
mod http2;
mod length;

pub use delimiter::Delimiter;
pub use head::Head;
pub use http1::Http1;
pub use http2::Http2;
pub use length::{ByteOrder, LengthPrefixed, Width};

/// Finds the end of one message after the other, see [`StreamParser`].
///
/// It is given every byte of the stream at most once, in order, however the stream is split, and
/// keeps what it needs: what it was given before is gone. After it said where a message ends, the
/// next byte that it is given is the first of the next message.
#[doc(alias = "parse_msg")]
pub trait MessageParser {
    /// Looks at `bytes`, which follow those of the last call; there is at least one.
    ///
    /// # Errors
    ///
    /// [`ParseError`] ends the stream: where the next message starts cannot be known.
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError>;
}

impl<P: MessageParser + ?Sized> MessageParser for Box<P> {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        (**self).parse(bytes)
    }
}

/// What a [`MessageParser`] can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "who feeds a parser must know each answer"
)]
pub enum Parsed {
    /// All these bytes belong to the message, and at least so many that follow them.
    NeedMore(u64),
    /// The message ends so many bytes after the first of these; it may be more than there are,
    /// and the parser is not given those.
    Message(u64),
    /// The message ends with the stream.
    Rest,
}

/// Where a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who asks must know each answer")]
pub enum Boundary {
    /// After so many of the bytes given; what follows them belongs to the next message.
    Ends(usize),
    /// Not here: at least so many bytes more belong to the message. A program may let them pass
    /// with [`crate::Message::apply_bytes`] once it has judged what came before them.
    Needs(u64),
    /// With the stream: all that is left of it is this message.
    Rest,
}

/// Why a stream cannot be parsed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A message is longer than it may be.
    #[error("a message of at least {len} bytes, where {max} are allowed")]
    TooLong {
        /// Bytes that it has at least.
        len: u64,
        /// Bytes that it may have.
        max: u64,
    },
    /// A length field says what cannot be.
    #[error("a length of {length}: {why}")]
    BadLength {
        /// The value of the field.
        length: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bytes are not what the protocol allows.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The stream ended inside of a message.
    #[error("the stream ended {seen} bytes into a message")]
    Truncated {
        /// Bytes of the message that came.
        seen: u64,
    },
}

/// Splits a byte stream into messages of bounded length.
///
/// It looks at each byte at most once, and at those of a body of known length not at all.
///
/// ```
/// use underseal_message::{Boundary, LengthPrefixed, StreamParser};
///
/// // RFC 1035 section 4.2.2: two bytes of length, then the message.
/// let mut parser = StreamParser::new(LengthPrefixed::dns(), 65_537);
/// let mut stream = vec![0, 12];
/// stream.extend([0; 12]);
/// stream.extend([0, 40, 1, 2, 3]);
/// assert_eq!(parser.next(&stream), Ok(Boundary::Ends(14)));
/// assert_eq!(parser.next(&stream[14..]), Ok(Boundary::Needs(37)));
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "strparser")]
#[doc(alias = "BPF_SK_SKB_STREAM_PARSER")]
pub struct StreamParser<P> {
    parser: P,
    max: u64,
    /// Bytes of the message so far.
    seen: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The parser looks at what comes next; at least so much of it belongs to the message.
    Parsing(u64),
    /// So many bytes follow at which it does not look.
    Passing(u64),
    Rest,
    Failed(ParseError),
}

impl<P: MessageParser> StreamParser<P> {
    /// Splits a stream by `parser`. No message may be longer than `max` bytes, but for one that
    /// ends with the stream, which has no length.
    pub fn new(parser: P, max: u64) -> Self {
        Self {
            parser,
            max,
            seen: 0,
            state: State::Parsing(1),
        }
    }

    /// The parser, to tell it what the stream does not say.
    pub fn parser_mut(&mut self) -> &mut P {
        &mut self.parser
    }

    /// Bytes that a message may have.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Bytes of the message that the stream is in, 0 between two of them.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks at `bytes`, which follow those that were looked at before, for the end of the
    /// message. If it ends in them, those behind it are to be given again.
    ///
    /// # Errors
    ///
    /// [`ParseError`]: the stream is over, and every further call says so again.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Boundary, ParseError> {
        let boundary = match self.state {
            State::Failed(error) => return Err(error),
            State::Parsing(needs) if bytes.is_empty() => return Ok(Boundary::Needs(needs)),
            State::Parsing(_) => match self.parser.parse(bytes) {
                Ok(parsed) => self.go_on(bytes.len() as u64, parsed),
                Err(error) => Err(error),
            },
            State::Passing(left) => Ok(self.pass(bytes.len() as u64, left)),
            State::Rest => Ok(self.rest(bytes.len() as u64)),
        };
        boundary.inspect_err(|error| self.state = State::Failed(*error))
    }

    /// Says that the stream ended.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if it ended inside of a message, or the error it failed with.
    pub fn finish(&self) -> Result<(), ParseError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Rest => Ok(()),
            State::Parsing(_) | State::Passing(_) if self.seen == 0 => Ok(()),
            State::Parsing(_) | State::Passing(_) => Err(ParseError::Truncated { seen: self.seen }),
        }
    }

    fn go_on(&mut self, len: u64, parsed: Parsed) -> Result<Boundary, ParseError> {
        match parsed {
            Parsed::NeedMore(more) => {
                let more = more.max(1);
                self.check(len.saturating_add(more))?;
                self.seen += len;
                self.state = State::Parsing(more);
                Ok(Boundary::Needs(more))
            }
            // It would be found again and again.
            Parsed::Message(0) => Err(ParseError::BadLength {
                length: 0,
                why: "a message of no bytes",
            }),
            Parsed::Message(total) => {
                self.check(total)?;
                Ok(self.pass(len, total))
            }
            Parsed::Rest => Ok(self.rest(len)),
        }
    }

    /// `len` bytes came, and `left` belong to the message.
    fn pass(&mut self, len: u64, left: u64) -> Boundary {
        if let Some(missing) = left.checked_sub(len).filter(|missing| *missing > 0) {
            self.seen += len;
            self.state = State::Passing(missing);
            return Boundary::Needs(missing);
        }
        self.seen = 0;
        self.state = State::Parsing(1);
        Boundary::Ends(usize::try_from(left).expect("no more than came"))
    }

    fn rest(&mut self, len: u64) -> Boundary {
        self.seen = self.seen.saturating_add(len);
        self.state = State::Rest;
        Boundary::Rest
    }

    fn check(&self, more: u64) -> Result<(), ParseError> {
        let len = self.seen.saturating_add(more);
        match len > self.max {
            true => Err(ParseError::TooLong { len, max: self.max }),
            false => Ok(()),
        }
    }
}
