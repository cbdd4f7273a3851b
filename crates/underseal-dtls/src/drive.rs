//! What a handshake waits for that is not over, whichever library makes it, and how.

use std::net::UdpSocket;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::Error;
use crate::datagrams::poll_for;

/// How long is waited for a datagram before a library is asked whether it is time to repeat a flight:
/// it keeps that time and tells nobody.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// What a handshake waits for that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// A datagram, and no longer than a [`TICK`].
    Datagram,
    /// Room in the socket.
    Room,
    /// Nothing, but its driver is to look at the clock, and at others: there may be more datagrams.
    Nothing,
}

/// Has a thread wait, for `left` at most.
///
/// # Errors
///
/// [`Error::HandshakeTimedOut`] if nothing is left.
pub(crate) fn wait_blocking(
    socket: &UdpSocket,
    waits_for: WaitsFor,
    left: Duration,
) -> Result<(), Error> {
    if left.is_zero() {
        return Err(Error::HandshakeTimedOut);
    }
    let flags = match waits_for {
        WaitsFor::Datagram => PollFlags::IN,
        WaitsFor::Room => PollFlags::OUT,
        WaitsFor::Nothing => return Ok(()),
    };
    // Whether it came or not: the library may have something to repeat.
    poll_for(socket, flags, Some(left.min(TICK)))?;
    Ok(())
}

/// Has a task wait.
#[cfg(feature = "tokio")]
pub(crate) async fn wait(
    socket: &tokio::net::UdpSocket,
    waits_for: WaitsFor,
) -> std::io::Result<()> {
    match waits_for {
        WaitsFor::Datagram => {
            let readable = tokio::time::timeout(TICK, socket.readable()).await;
            readable.unwrap_or(Ok(()))
        }
        WaitsFor::Room => socket.writable().await,
        WaitsFor::Nothing => {
            tokio::task::yield_now().await;
            Ok(())
        }
    }
}
