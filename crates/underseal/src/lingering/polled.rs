use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use underseal_sys::deadline::Deadline;

use super::{Budget, Linger};

/// Reads and throws away what `tcp` receives until the peer closes, the connection fails, or
/// `bytes` of it came: the second half of a lingering close, after `shutdown` has announced the end
/// of the sending side. Then drop the stream. `tcp` may be what is below a TLS stream, with either
/// engine; see [`Linger`] for what ends it early.
///
/// A peer may keep its side open for ever: bound the time.
///
/// # Cancellation
///
/// What was read is gone; the rest is not lost.
#[doc(alias = "lingering_close")]
pub async fn linger(tcp: &TcpStream, bytes: usize) {
    let mut budget = Budget(bytes);
    poll_fn(|cx| poll_discard(&mut budget, tcp, cx)).await;
}

/// A [`linger`] that keeps its own time, from its first wait on.
pub(crate) struct Lingering {
    budget: Budget,
    time: Duration,
    deadline: Option<Deadline>,
    runtime: Option<Handle>,
}

impl Lingering {
    pub(crate) fn new(limits: Linger) -> Self {
        Self {
            budget: Budget(limits.bytes),
            time: limits.time,
            deadline: None,
            runtime: Handle::try_current().ok(),
        }
    }

    /// One that is polled outside of the runtime that `tcp` is on.
    pub(crate) fn on(runtime: Option<Handle>, limits: Linger) -> Self {
        Self {
            runtime,
            ..Self::new(limits)
        }
    }

    pub(crate) fn poll(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        if poll_discard(&mut self.budget, tcp, cx).is_ready() {
            return Poll::Ready(());
        }
        let deadline = match self.deadline.take() {
            Some(deadline) => Ok(deadline),
            None => self.start(),
        };
        match deadline {
            Ok(deadline) => Pin::new(self.deadline.insert(deadline)).poll(cx),
            // Without a clock nothing is waited for.
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Lingering {
    fn start(&self) -> io::Result<Deadline> {
        let runtime = self.runtime.as_ref();
        let _entered = runtime.ok_or(io::ErrorKind::Unsupported)?.enter();
        Deadline::after(self.time)
    }
}

/// Ready when there is nothing more to throw away.
fn poll_discard(budget: &mut Budget, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        if ready!(tcp.poll_read_ready(cx)).is_err() {
            return Poll::Ready(());
        }
        let discard = || Ok(budget.discard(tcp.as_fd())?);
        match tcp.try_io(Interest::READABLE, discard) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return Poll::Ready(()),
        }
    }
}
