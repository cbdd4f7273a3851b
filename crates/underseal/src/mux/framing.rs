use std::fmt;
use std::sync::Arc;

use underseal_message::{MessageParser, StreamParser};

/// A parser of any protocol.
pub(super) type Parser = Box<dyn MessageParser + Send>;

/// How a stream is cut into messages: a parser for each connection and direction, and how long a
/// message may be.
#[derive(Clone)]
pub struct Framing {
    max: usize,
    parser: Arc<dyn Fn() -> Parser + Send + Sync>,
}

impl Framing {
    /// Messages of at most `max` bytes, found by what `parser` makes for each connection.
    pub fn new<P: MessageParser + Send + 'static>(
        max: usize,
        parser: impl Fn() -> P + Send + Sync + 'static,
    ) -> Self {
        Self {
            max,
            parser: Arc::new(move || Box::new(parser())),
        }
    }

    /// Bytes that a message may have.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn stream_parser(&self) -> StreamParser<Parser> {
        StreamParser::new((self.parser)(), self.max as u64)
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing").field("max", &self.max).finish()
    }
}
