use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use underseal_message::{Boundary, ParseError, StreamParser};

use super::Closed;
use super::framing::{Framing, Parser};
use crate::buffers;

/// Bytes asked for in one read.
const READ: usize = 64 * 1024;

/// What a connection received and did not hand out: at most the message that it is in, and what
/// one read brought behind it. Empty between two messages, without an allocation.
pub(super) struct Inbound {
    parser: StreamParser<Parser>,
    max: usize,
    bytes: Vec<u8>,
    /// Bytes in front that were handed out.
    start: usize,
    /// Bytes behind these that the parser was given: all of the same message.
    looked: usize,
    end: Option<End>,
}

/// How the stream ended.
enum End {
    Eof,
    Failed(io::Error),
}

/// What there is to hand out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Message(Vec<u8>),
    NeedMore,
    /// The stream ended behind the last message.
    End,
}

impl Inbound {
    pub(super) fn new(framing: &Framing, bytes: Vec<u8>) -> Self {
        Self {
            parser: framing.stream_parser(),
            max: framing.max(),
            bytes,
            start: 0,
            looked: 0,
            end: None,
        }
    }

    /// Whether there is anything that the parser was not given, the end included.
    pub(super) fn has_unseen(&self) -> bool {
        self.start + self.looked < self.bytes.len() || self.end.is_some()
    }

    /// Takes the next message out, if it is there. What is before an error comes first.
    ///
    /// # Errors
    ///
    /// [`Closed::Framing`] and [`Closed::Io`].
    pub(super) fn next(&mut self) -> Result<Next, Closed> {
        let unseen = &self.bytes[self.start + self.looked..];
        match self.parser.next(unseen).map_err(Closed::Framing)? {
            Boundary::Ends(len) => Ok(Next::Message(self.take(self.looked + len))),
            Boundary::Needs(_) => self.all_seen(false),
            Boundary::Rest => self.all_seen(true),
        }
    }

    fn all_seen(&mut self, is_rest: bool) -> Result<Next, Closed> {
        self.looked = self.bytes.len() - self.start;
        // The parser lets a message without a length be of any.
        if self.looked > self.max {
            let (len, max) = (self.looked as u64, self.max as u64);
            return Err(Closed::Framing(ParseError::TooLong { len, max }));
        }
        match self.end.take() {
            None => return Ok(Next::NeedMore),
            Some(End::Failed(error)) => return Err(error.into()),
            Some(End::Eof) => self.end = Some(End::Eof),
        }
        self.parser.finish().map_err(Closed::Framing)?;
        match is_rest && self.looked > 0 {
            true => Ok(Next::Message(self.take(self.looked))),
            false => Ok(Next::End),
        }
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.looked = 0;
        if self.start == 0 && self.bytes.len() == len {
            return std::mem::take(&mut self.bytes);
        }
        let message = self.bytes[self.start..][..len].to_vec();
        self.start += len;
        if self.start == self.bytes.len() {
            (self.bytes, self.start) = (Vec::new(), 0);
        }
        message
    }

    /// Reads once, to a buffer of the thread: a connection that waits has none. How the stream ends
    /// is told by [`Self::next`].
    pub(super) fn poll_fill<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut lent = buffers::lend();
        let mut buf = ReadBuf::new(&mut lent[..READ]);
        match ready!(Pin::new(stream).poll_read(cx, &mut buf)) {
            Ok(()) if buf.filled().is_empty() => self.end = Some(End::Eof),
            Ok(()) => {
                self.bytes.drain(..self.start);
                self.start = 0;
                self.bytes.extend_from_slice(buf.filled());
            }
            Err(error) => self.end = Some(End::Failed(error)),
        }
        Poll::Ready(())
    }

    /// Why the stream failed, if it did and [`Self::next`] has not told.
    pub(super) fn take_failure(&mut self) -> Option<Closed> {
        match self.end.take() {
            Some(End::Failed(error)) => Some(error.into()),
            end => {
                self.end = end;
                None
            }
        }
    }

    /// What was not handed out: the stream goes on with it, at the first byte of a message. Nothing
    /// is to be parsed after it.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.start);
        self.free();
        rest
    }

    pub(super) fn free(&mut self) {
        (self.bytes, self.start, self.looked) = (Vec::new(), 0, 0);
    }
}
