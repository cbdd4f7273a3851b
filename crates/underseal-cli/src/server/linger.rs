//! The end of a connection whose client may still be sending.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpStream;

use super::watch::{Phase, Watch};

/// Longest wait for the client to read what was sent, and most bytes thrown away meanwhile.
const TIMEOUT: Duration = Duration::from_secs(2);
const MAX_BYTES: usize = 256 * 1024;

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
