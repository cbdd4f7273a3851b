//! A stream without a clock, a thread or a socket: what its peer does is done by calls.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends of it.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Ends>>);

#[derive(Default)]
pub(crate) struct Ends {
    /// On the way to the mux.
    pub(crate) coming: VecDeque<u8>,
    pub(crate) has_ended: bool,
    /// The next read fails, once, and what comes after it is an end, as of a socket.
    pub(crate) fails: bool,
    /// Whether one did.
    pub(crate) has_told: bool,
    /// What the mux sent, and how much more it may.
    pub(crate) sent: Vec<u8>,
    pub(crate) room: usize,
    /// Whether the mux said that it sends no more.
    pub(crate) is_shut: bool,
    wakers: Vec<Waker>,
}

impl Wire {
    pub(crate) fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().expect("no step panics while it has this")
    }

    /// Does what the peer does, and has the mux learn of it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Ends)) {
        let mut ends = self.ends();
        change(&mut ends);
        let wakers = std::mem::take(&mut ends.wakers);
        drop(ends);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.ends();
        if !ends.coming.is_empty() {
            let len = ends.coming.len().min(buf.remaining());
            buf.put_slice(&ends.coming.drain(..len).collect::<Vec<_>>());
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut ends.fails) {
            (ends.has_ended, ends.has_told) = (true, true);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if ends.has_ended {
            return Poll::Ready(Ok(()));
        }
        ends.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.ends();
        let len = ends.room.min(bytes.len());
        if len == 0 {
            ends.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        ends.room -= len;
        ends.sent.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ends().is_shut = true;
        Poll::Ready(Ok(()))
    }
}
