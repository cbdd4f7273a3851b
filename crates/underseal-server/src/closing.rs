//! The end of a client's connection.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use underseal::Linger;

use super::watch::{Phase, Watch};

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

/// Ends a stream as `end` says; one to abort is left as it is, for its owner to drop or reset.
/// `tcp` gives the connection below.
pub async fn close<S: AsyncWrite + Unpin>(
    watch: &Watch,
    stream: &mut S,
    tcp: impl Fn(&S) -> Option<&TcpStream>,
    end: End,
) {
    if end == End::Abort {
        return;
    }
    watch.enter(Phase::Busy, CLOSE_TIMEOUT);
    let shut = watch.until(pin!(stream.shutdown())).await;
    if !matches!(shut, Ok(Ok(()))) {
        let remote = tcp(stream).and_then(|tcp| tcp.peer_addr().ok());
        tracing::debug!("{remote:?} did not take close_notify: {shut:?}");
        return;
    }
    if let Some(tcp) = tcp(stream) {
        linger(watch, tcp).await;
    }
}

/// Reads and throws away until the client closes, within the library's limits: closing while its
/// bytes are unread would reset the connection and may destroy the answer. The time is the worker's
/// to keep.
pub async fn linger(watch: &Watch, tcp: &TcpStream) {
    let limits = Linger::default();
    watch.enter(Phase::Busy, limits.time);
    // The time being over is an end like any other.
    let _ = watch
        .until(pin!(underseal::linger(tcp, limits.bytes)))
        .await;
}
