//! The orderly end of a connection: nothing that its peer still sends may cost it the replies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;

use super::stream::Stream;
use crate::buffers;
use crate::lingering::{Linger, Lingering};

/// Bytes thrown away at once.
const PIECE: usize = 64 * 1024;

/// A connection on which everything was said.
pub(super) struct Leaving {
    is_shut: bool,
    lingering: Lingering,
    /// Bytes that may be thrown away of a stream that is no socket.
    left: usize,
}

impl Leaving {
    pub(super) fn new(runtime: Option<Handle>) -> Box<Self> {
        let limits = Linger::default();
        Box::new(Self {
            is_shut: false,
            lingering: Lingering::on(runtime, limits),
            left: limits.bytes,
        })
    }

    /// Whether everything is sent, the end included.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// Ready when the stream is to be dropped.
    pub(super) fn poll(&mut self, stream: &mut Box<dyn Stream>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut {
            // An error of saying goodbye changes nothing: everything was said.
            if ready!(Pin::new(&mut *stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.is_shut = true;
        }
        match (**stream).below() {
            Some((tcp, connection)) => self.lingering.poll(tcp, connection, cx),
            None => {
                self.discard(stream, cx);
                Poll::Ready(())
            }
        }
    }

    /// Throws away what is there.
    fn discard(&mut self, stream: &mut Box<dyn Stream>, cx: &mut Context<'_>) {
        let mut lent = buffers::lend();
        while self.left > 0 {
            let mut buf = ReadBuf::new(&mut lent[..PIECE.min(self.left)]);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.left -= buf.filled().len();
                }
                _ => return,
            }
        }
    }
}
