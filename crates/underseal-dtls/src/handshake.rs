//! What handshakes of the `openssl` crate need, whoever waits for them.

use std::io::ErrorKind;

use openssl::ssl::{self, ErrorCode, Ssl, SslStream};

use crate::datagrams::Datagrams;
use crate::drive::WaitsFor;
use crate::{Error, HandshakeIo};

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

/// Goes on with a handshake as far as the datagrams go that have come. What it waits for, if it is not over.
pub(crate) fn drive<S: Datagrams>(
    stream: &mut SslStream<HandshakeIo<S>>,
) -> Result<Option<WaitsFor>, Error> {
    stream.get_mut().allow_some();
    match stream.do_handshake() {
        Ok(()) => Ok(None),
        Err(error) if error.code() == ErrorCode::WANT_WRITE => Ok(Some(WaitsFor::Room)),
        Err(error) if waits(&error) => Ok(Some(stream.get_ref().waits_for())),
        Err(error) => Err(error.into()),
    }
}

/// Whether `error` says no more than that nothing came yet.
pub(crate) fn waits(error: &ssl::Error) -> bool {
    let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
        || error.io_error().is_some_and(would_block)
}
