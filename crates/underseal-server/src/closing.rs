//! The end of a client's connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal::Linger;

use super::deadline::{Deadline, Phase};

/// Longest wait for a client to take a close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With close_notify, and after the client had time to read what was sent.
    Close,
    /// Such that what was sent cannot be taken for complete.
    Abort,
}

/// A client's stream.
pub trait Closing: AsyncWrite + Unpin {
    /// The client's address, as far as the log needs it.
    fn remote(&self) -> Option<SocketAddr>;

    /// Reads and throws away what comes until the client closes, the connection fails, or `bytes`
    /// of it came; see [`underseal::linger`].
    fn linger(&mut self, bytes: usize) -> impl Future<Output = ()>;
}

impl Closing for TcpStream {
    fn remote(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }

    async fn linger(&mut self, bytes: usize) {
        underseal::linger(self, bytes).await;
    }
}

impl Closing for underseal::server::TlsStream<TcpStream> {
    fn remote(&self) -> Option<SocketAddr> {
        self.get_ref().0.peer_addr().ok()
    }

    async fn linger(&mut self, bytes: usize) {
        self.linger(bytes).await;
    }
}

/// Ends a stream as `end` says; one to abort is left as it is, for its owner to drop or reset.
pub async fn close(deadline: &Deadline, stream: &mut impl Closing, end: End) {
    if end == End::Abort {
        return;
    }
    deadline.enter(Phase::Busy, CLOSE_TIMEOUT);
    let shut = deadline.until(pin!(stream.shutdown())).await;
    if !matches!(shut, Ok(Ok(()))) {
        tracing::debug!("{:?} did not take close_notify: {shut:?}", stream.remote());
        return;
    }
    linger(deadline, stream).await;
}

/// Reads and throws away until the client closes, within the library's limits: closing while its
/// bytes are unread would reset the connection and may destroy the answer. The time is the worker's
/// to keep.
pub async fn linger(deadline: &Deadline, stream: &mut impl Closing) {
    let limits = Linger::default();
    deadline.enter(Phase::Busy, limits.time);
    // The time being over is an end like any other.
    let _ = deadline.until(pin!(stream.linger(limits.bytes))).await;
}
