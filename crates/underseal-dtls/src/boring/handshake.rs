//! What handshakes of the `boring` crate need, whoever waits for them.

use std::io::ErrorKind;

use boring::ssl::{Error as SslError, ErrorCode, Ssl, SslStream};
use underseal_sys::boring::handle_timeout;

use super::prepare;
use crate::datagrams::Datagrams;
use crate::drive::WaitsFor;
use crate::{Error, HandshakeIo};

/// Most bytes of a datagram of the handshake: what every path takes, IPv6's 1280 without headers.
const MTU: u32 = 1200;

/// The side of a handshake that is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Client,
    Server,
}

/// A handshake over `socket` that is about to begin.
pub(crate) fn stream<S: Datagrams>(
    mut ssl: Ssl,
    socket: S,
) -> Result<SslStream<HandshakeIo<S>>, Error> {
    prepare(&mut ssl)?;
    ssl.set_mtu(MTU).map_err(Error::BoringSetup)?;
    SslStream::new(ssl, HandshakeIo::new(socket)?).map_err(Error::BoringSetup)
}

/// Goes on with a handshake as far as the datagrams go that have come. What it waits for, if it is not over.
pub(crate) fn drive<S: Datagrams>(
    stream: &mut SslStream<HandshakeIo<S>>,
    role: Role,
) -> Result<Option<WaitsFor>, Error> {
    stream.get_mut().allow_some();
    let driven = match role {
        Role::Client => stream.connect(),
        Role::Server => stream.accept(),
    };
    match driven {
        Ok(()) => Ok(None),
        Err(error) if waits(&error) => {
            handle_timeout(stream.ssl_mut());
            Ok(Some(match error.code() {
                ErrorCode::WANT_WRITE => WaitsFor::Room,
                _ => stream.get_ref().waits_for(),
            }))
        }
        Err(error) => Err(Error::BoringHandshake(error)),
    }
}

/// Whether `error` says no more than that nothing came yet.
fn waits(error: &SslError) -> bool {
    let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    error.would_block() || error.io_error().is_some_and(would_block)
}
