//! What handshakes of the `openssl` crate need, whoever waits for them.

use std::io::ErrorKind;
use std::time::Duration;

use openssl::ssl::{self, ErrorCode, Ssl, SslStream};

use crate::datagrams::Datagrams;
use crate::{Error, HandshakeIo};

/// How long is waited for a datagram before OpenSSL is asked whether it is time to repeat a flight:
/// it keeps that time and tells nobody.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Most bytes of a datagram of the handshake: what every path takes, IPv6's 1280 without headers.
pub(crate) const MTU: u32 = 1200;

/// A handshake over `socket` that is about to begin.
pub(crate) fn stream<S: Datagrams>(
    mut ssl: Ssl,
    socket: S,
) -> Result<SslStream<HandshakeIo<S>>, Error> {
    ssl.set_mtu(MTU).map_err(ssl::Error::from)?;
    let io = HandshakeIo::new(socket)?;
    Ok(SslStream::new(ssl, io).map_err(ssl::Error::from)?)
}

/// Whether `error` says no more than that nothing came yet.
pub(crate) fn waits(error: &ssl::Error) -> bool {
    let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
        || error.io_error().is_some_and(would_block)
}
