use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use underseal_sys::Errno;
use underseal_sys::deadline::Deadline;

use super::{Discard, Discarded, Linger, TICK};
use crate::engine::Connection;

/// Reads and throws away what `tcp` receives until the peer closes, the connection fails, or
/// `bytes` of it came: the second half of a lingering close, after `shutdown` has announced the end
/// of the sending side. Then drop the stream. What is below a TLS stream is better left to
/// [`Stream::linger`](crate::Stream::linger), which follows key updates of the peer for a kernel
/// that opens; see [`Linger`].
///
/// A peer may keep its side open for ever: bound the time.
///
/// # Cancellation
///
/// What was read is gone; the rest is not lost.
#[doc(alias = "lingering_close")]
pub async fn linger(tcp: &TcpStream, bytes: usize) {
    // Boxed because it comes once, and the future of a connection holds it all along.
    let mut lingering = Box::new(Lingering::without_end(bytes));
    poll_fn(|cx| lingering.poll(tcp, None, cx)).await;
}

/// A [`linger`] that may keep its own time, from its first wait on.
pub(crate) struct Lingering {
    discard: Discard,
    /// How long it goes on; `None` as long as it is polled.
    time: Option<Duration>,
    deadline: Option<Deadline>,
    /// When a socket that is stuck is looked at next.
    tick: Option<Deadline>,
    runtime: Option<Handle>,
}

impl Lingering {
    pub(crate) fn new(limits: Linger) -> Self {
        Self {
            time: Some(limits.time),
            ..Self::without_end(limits.bytes)
        }
    }

    /// One whose time somebody else keeps.
    pub(crate) fn without_end(bytes: usize) -> Self {
        Self {
            discard: Discard::new(bytes),
            time: None,
            deadline: None,
            tick: None,
            runtime: Handle::try_current().ok(),
        }
    }

    /// One that is polled outside of the runtime that its socket is on.
    pub(crate) fn on(runtime: Option<Handle>, limits: Linger) -> Self {
        Self {
            runtime,
            ..Self::new(limits)
        }
    }

    /// Ready when there is nothing more to throw away, or the time is over. `connection` is what
    /// `tcp` carries, if that is known.
    pub(crate) fn poll(
        &mut self,
        tcp: &TcpStream,
        connection: Option<&mut Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.poll_discard(tcp, connection, cx).is_ready() {
            return Poll::Ready(());
        }
        match self.time {
            Some(time) => self.poll_deadline(time, cx),
            None => Poll::Pending,
        }
    }

    fn poll_deadline(&mut self, time: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.deadline.take() {
            Some(deadline) => Ok(deadline),
            None => self.start(time),
        };
        match deadline {
            Ok(deadline) => Pin::new(self.deadline.insert(deadline)).poll(cx),
            // Without a clock nothing is waited for.
            Err(_) => Poll::Ready(()),
        }
    }

    fn poll_discard(
        &mut self,
        tcp: &TcpStream,
        mut connection: Option<&mut Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.discard.know(connection.as_deref());
        while !self.discard.is_stuck {
            if ready!(tcp.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            let connection = connection.as_deref_mut();
            let discard = || Ok(self.discard.discard(tcp.as_fd(), connection)?);
            match tcp.try_io(Interest::READABLE, discard) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(Discarded::Much) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Discarded::All) | Err(_) => return Poll::Ready(()),
            }
        }
        self.poll_stuck(tcp, cx)
    }

    /// Looks at a socket that is stuck once in a while.
    fn poll_stuck(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(tick) = &mut self.tick {
                ready!(Pin::new(tick).poll(cx));
                self.tick = None;
            }
            if self.discard.discard(tcp.as_fd(), None) != Err(Errno::AGAIN) {
                return Poll::Ready(());
            }
            match self.start(TICK) {
                Ok(tick) => self.tick = Some(tick),
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    fn start(&self, time: Duration) -> io::Result<Deadline> {
        let runtime = self.runtime.as_ref();
        let _entered = runtime.ok_or(io::ErrorKind::Unsupported)?.enter();
        Deadline::after(time)
    }
}
