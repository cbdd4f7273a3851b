//! Handshakes of the `boring` crate, for programs without a runtime.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use boring::ssl::{Ssl, SslStream};

use super::DtlsSocket;
use crate::boring::{Role, TICK, drive, stream, take_over, take_over_read};
use crate::{Error, HandshakeIo};

impl DtlsSocket {
    /// Makes a client's handshake of DTLS 1.3 over `socket`, which is connected to the server, and takes it
    /// over. The context of `ssl` was told to [keep its secrets](crate::boring::keep_secrets).
    ///
    /// # Errors
    ///
    /// [`Error::BoringHandshake`] is what BoringSSL says, [`Error::HandshakeTimedOut`] that `timeout` was
    /// over first, [`Error::Handover`] that the outcome is not for this crate.
    pub fn connect_boring(ssl: Ssl, socket: UdpSocket, timeout: Duration) -> Result<Self, Error> {
        Self::boring_handshake(ssl, socket, timeout, Role::Client)
    }

    /// Makes a server's handshake of DTLS 1.3 over `socket`, which is connected to the client, and takes it
    /// over.
    ///
    /// # Errors
    ///
    /// As [`connect_boring`](Self::connect_boring).
    pub fn accept_boring(ssl: Ssl, socket: UdpSocket, timeout: Duration) -> Result<Self, Error> {
        Self::boring_handshake(ssl, socket, timeout, Role::Server)
    }

    /// Takes over a handshake that the caller made, with DTLS 1.3. It was [prepared](crate::boring::prepare) before it
    /// began. The handshake object is gone afterwards, so that nobody but the socket seals in its epochs. Data that
    /// came before the handshake was over, or that nobody has read from the object, is what the socket receives first.
    /// What the peer may lack of the handshake is repeated until it is acknowledged, while somebody sends or receives.
    ///
    /// # Errors
    ///
    /// [`Error::Handover`] says what is in the way. The handshake is lost then.
    pub fn from_boring(stream: SslStream<HandshakeIo<UdpSocket>>) -> Result<Self, Error> {
        Ok(Self {
            endpoint: take_over_read(stream)?,
        })
    }

    fn boring_handshake(
        ssl: Ssl,
        socket: UdpSocket,
        timeout: Duration,
        role: Role,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + timeout;
        let read_timeout = socket.read_timeout()?;
        socket.set_read_timeout(Some(TICK))?;
        let mut stream = stream(ssl, socket)?;
        while drive(&mut stream, role)?.is_some() {
            if Instant::now() >= deadline {
                return Err(Error::HandshakeTimedOut);
            }
        }
        let socket = stream.get_ref().socket();
        socket.set_read_timeout(read_timeout)?;
        Ok(Self {
            endpoint: take_over(stream)?,
        })
    }
}
