use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use underseal_message::{Boundary, ParseError, StreamParser};

use super::framing::{Framing, Parser};

/// Replies that the stream did not take yet. Without an allocation while it takes all.
pub(super) struct Outbound {
    check: Option<StreamParser<Parser>>,
    bytes: Vec<u8>,
    /// Bytes in front that the stream took.
    sent: usize,
    /// All that the stream ever took.
    taken: u64,
    is_flushed: bool,
}

impl Outbound {
    pub(super) fn new(check: Option<&Framing>) -> Self {
        Self {
            check: check.map(Framing::stream_parser),
            bytes: Vec::new(),
            sent: 0,
            taken: 0,
            is_flushed: true,
        }
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Bytes that the stream took since the connection was attached.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting() == 0 && self.is_flushed
    }

    /// Says whether `reply` is whole messages, which the parser is then past.
    pub(super) fn check(&mut self, reply: &[u8]) -> Result<(), ParseError> {
        let Some(parser) = &mut self.check else {
            return Ok(());
        };
        let mut rest = reply;
        while !rest.is_empty() {
            match parser.next(rest)? {
                Boundary::Ends(len) => rest = &rest[len..],
                Boundary::Needs(_) | Boundary::Rest => {
                    let seen = parser.seen();
                    return Err(ParseError::Truncated { seen });
                }
            }
        }
        Ok(())
    }

    /// Sends `reply` behind what waits; what the stream does not take now waits, too.
    pub(super) fn push<S: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        reply: &[u8],
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let mut rest = reply;
        while self.bytes.is_empty() && !rest.is_empty() {
            match write(stream, cx, rest) {
                Poll::Ready(written) => {
                    let written = written?;
                    self.taken += written as u64;
                    rest = &rest[written..];
                }
                Poll::Pending => break,
            }
        }
        // Or a peer that is never quite done would let what was sent pile up.
        self.bytes.drain(..self.sent);
        self.sent = 0;
        self.bytes.extend_from_slice(rest);
        self.is_flushed = false;
        match self.poll_flush(stream, cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Sends what waits.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let written = ready!(write(stream, cx, &self.bytes[self.sent..]))?;
            self.taken += written as u64;
            self.sent += written;
        }
        self.free();
        if !self.is_flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn free(&mut self) {
        (self.bytes, self.sent) = (Vec::new(), 0);
    }
}

fn write<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(stream).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}
