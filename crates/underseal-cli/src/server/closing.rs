//! The end of a client's connection.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::watch::{Phase, Watch};

/// Longest wait for a client to take a close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the client to read what was sent, and most bytes thrown away meanwhile.
const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_BYTES: usize = 256 * 1024;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With close_notify.
    Close,
    /// With close_notify, and after the client had time to read what was sent.
    Linger,
    /// Such that what was sent cannot be taken for complete.
    Abort,
}

/// Ends a stream as `end` says; one to abort is left as it is, for its owner to drop or reset.
/// `tcp` gives the connection below.
pub(crate) async fn close<S: AsyncWrite + Unpin>(
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
    if end == End::Linger
        && let Some(tcp) = tcp(stream)
    {
        linger(watch, tcp).await;
    }
}

/// Reads and throws away until the client closes, within bounds: closing while its bytes are unread
/// would reset the connection and may destroy the answer.
pub(crate) async fn linger(watch: &Watch, tcp: &TcpStream) {
    watch.enter(Phase::Busy, TIMEOUT);
    let mut left = MAX_BYTES;
    while left > 0 {
        if !matches!(watch.until(pin!(tcp.readable())).await, Ok(Ok(()))) {
            return;
        }
        match tcp.try_read(&mut [0; 4096]) {
            Ok(0) => return,
            Ok(read) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
