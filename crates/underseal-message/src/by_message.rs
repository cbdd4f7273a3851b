use crate::{Boundary, Message, MessageParser, ParseError, Program, StreamParser, Verdict};

/// A program that is given whole messages, one at a time, as a parser finds them.
///
/// It waits for the end of a message with [`Message::cork_bytes`], so the filter's
/// [`crate::Filter::cork_limit`] has to be the parser's maximum or more: only a message that comes
/// in one write may be longer. What the program itself says with `cork_bytes` and
/// [`Message::apply_bytes`] has no effect: its verdict is for the message.
///
/// A stream that cannot be parsed is dropped from there on, and [`Self::error`] says why; so is a
/// message that is too long to be held, and one in which the stream ends. Who writes or reads is
/// told with [`crate::Denied::Ended`].
///
/// ```
/// use std::io::IoSlice;
/// use underseal_message::{ByMessage, Filter, LengthPrefixed, Message, StreamParser, Verdict};
///
/// let responses_only = |message: &mut Message<'_>| match message.pull(4..5) {
///     Ok([flags]) if flags & 0x80 != 0 => Verdict::<usize>::Pass,
///     _ => Verdict::Drop,
/// };
/// let parser = StreamParser::new(LengthPrefixed::dns(), 2 + 65_535);
/// let filter = Filter::ingress(ByMessage::new(parser, responses_only)).cork_limit(2 + 65_535);
/// # drop(filter);
/// ```
#[derive(Debug)]
pub struct ByMessage<M, P> {
    parser: StreamParser<M>,
    program: P,
    /// Bytes of the message that the parser has seen: the filter holds them.
    seen: usize,
    error: Option<ParseError>,
}

impl<M: MessageParser, P> ByMessage<M, P> {
    /// Gives `program` the messages that `parser` finds.
    pub fn new(parser: StreamParser<M>, program: P) -> Self {
        Self {
            parser,
            program,
            seen: 0,
            error: None,
        }
    }

    /// Why the stream is dropped, if it is.
    pub fn error(&self) -> Option<ParseError> {
        self.error
    }

    /// The parser's part: where the message ends that `message` starts with.
    fn find_end(&mut self, message: &Message<'_>) -> Result<Found, ParseError> {
        let (mut skip, mut end) = (self.seen, 0);
        let mut needs = 1;
        for slice in message.slices() {
            let unseen = &slice[skip.min(slice.len())..];
            skip -= slice.len() - unseen.len();
            end += slice.len() - unseen.len();
            if unseen.is_empty() {
                continue;
            }
            match self.parser.next(unseen)? {
                Boundary::Ends(len) => return Ok(Found::Message(end + len)),
                Boundary::Rest => return Ok(Found::Rest),
                Boundary::Needs(more) => needs = more,
            }
            end += unseen.len();
        }
        Ok(Found::Part { needs })
    }

    /// Waits for `needs` bytes more, if there may be any.
    fn wait(&mut self, message: &mut Message<'_>, needs: u64) -> Result<(), ParseError> {
        let len = message.len();
        let needs = usize::try_from(needs).unwrap_or(usize::MAX);
        self.seen = len;
        let total = len.saturating_add(needs);
        let corked = message.cork_bytes(total);
        corked.map_err(|_| match message.cork_limit() {
            0 => ParseError::Truncated { seen: len as u64 },
            max => ParseError::TooLong {
                len: total as u64,
                max: max as u64,
            },
        })
    }

    /// Refuses everything from here on.
    fn refuse<K>(&mut self, message: &mut Message<'_>, error: ParseError) -> Verdict<K> {
        self.error = Some(error);
        message.apply_bytes(u64::MAX);
        Verdict::Drop
    }
}

/// What a parser found.
enum Found {
    /// A message of so many bytes.
    Message(usize),
    /// A message that ends with the stream.
    Rest,
    /// A message of which at least so many bytes are missing.
    Part { needs: u64 },
}

impl<M: MessageParser, P: Program<K>, K> Program<K> for ByMessage<M, P> {
    fn run(&mut self, message: &mut Message<'_>) -> Verdict<K> {
        let applies = match self.find_end(message) {
            Ok(Found::Message(len)) => {
                message.narrow(len);
                len as u64
            }
            Ok(Found::Rest) => {
                message.narrow(message.len());
                u64::MAX
            }
            Ok(Found::Part { needs }) => {
                return match self.wait(message, needs) {
                    // Forgotten, because it waits.
                    Ok(()) => Verdict::Drop,
                    Err(error) => self.refuse(message, error),
                };
            }
            Err(error) => return self.refuse(message, error),
        };
        self.seen = 0;
        let verdict = self.program.run(message);
        message.apply_bytes(applies);
        verdict
    }

    fn error(&self) -> Option<ParseError> {
        self.error
    }

    fn longest_cork(&self) -> u64 {
        self.parser.max()
    }
}
