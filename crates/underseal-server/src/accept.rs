//! How a connection of TLS begins.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpStream;

use super::deadline::{Deadline, Phase};

/// Why a connection that was accepted is not one of TLS. What the log of the process says of it, is said.
#[derive(Debug)]
pub enum NoTls {
    /// Its client speaks plain HTTP.
    Plain(TcpStream),
    /// Its client said nothing.
    Silent,
    /// The handshake failed.
    Failed,
    /// The handshake was not finished.
    TimedOut,
}

/// Waits within `patience` for what a client says first, and as long for the handshake that `accept` begins.
///
/// # Errors
/// If there is no connection of TLS.
pub async fn tls<S, E: Display>(
    (deadline, patience): (&Deadline, Duration),
    (tcp, remote): (TcpStream, SocketAddr),
    accept: impl AsyncFnOnce(TcpStream) -> Result<S, E>,
) -> Result<S, NoTls> {
    deadline.enter(Phase::Idle, patience);
    let mut first = [0];
    let peeked = deadline.until(pin!(tcp.peek(&mut first))).await;
    match peeked {
        Ok(Ok(1)) if first[0].is_ascii_alphabetic() => return Err(NoTls::Plain(tcp)),
        Ok(Ok(1)) => {}
        ended => {
            tracing::debug!("{remote} sent nothing: {ended:?}");
            return Err(NoTls::Silent);
        }
    }
    deadline.enter(Phase::Busy, patience);
    match deadline.until(pin!(accept(tcp))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            tracing::info!("no connection with {remote}: {error}");
            Err(NoTls::Failed)
        }
        Err(stop) => {
            tracing::info!("no connection with {remote}: handshake not finished: {stop}");
            Err(NoTls::TimedOut)
        }
    }
}
