//! Handshakes of the `boring` crate, for programs without a runtime.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use boring::ssl::{Ssl, SslStream};

use super::DtlsSocket;
use crate::boring::{Role, drive, stream, take_over, take_over_read};
use crate::drive::{TICK, wait_blocking};
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
        let start = Instant::now();
        let read_timeout = socket.read_timeout()?;
        // A datagram that the socket announces may be none: its checksum is looked at when it is read.
        socket.set_read_timeout(Some(TICK))?;
        let mut stream = stream(ssl, socket)?;
        while let Some(waits_for) = drive(&mut stream, role)? {
            let left = timeout.saturating_sub(start.elapsed());
            wait_blocking(stream.get_ref().socket(), waits_for, left)?;
        }
        let socket = stream.get_ref().socket();
        socket.set_read_timeout(read_timeout)?;
        Ok(Self {
            endpoint: take_over(stream)?,
        })
    }
}
