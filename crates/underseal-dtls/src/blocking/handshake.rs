//! Handshakes of the `openssl` crate, for programs without a runtime.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use openssl::ssl::{Ssl, SslStream};

use super::DtlsSocket;
use crate::drive::{TICK, wait_blocking};
use crate::handover::{take_over, take_over_read};
use crate::handshake::{drive, stream};
use crate::{Error, HandshakeIo};

impl DtlsSocket {
    /// Makes a client's handshake over `socket`, which is connected to the server, and takes it
    /// over.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] is what OpenSSL says, [`Error::HandshakeTimedOut`] that `timeout` was
    /// over first, [`Error::Handover`] that the outcome is not for this crate.
    pub fn connect(mut ssl: Ssl, socket: UdpSocket, timeout: Duration) -> Result<Self, Error> {
        ssl.set_connect_state();
        Self::handshake(ssl, socket, timeout)
    }

    /// Makes a server's handshake over `socket`, which is connected to the client, and takes it over.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn accept(mut ssl: Ssl, socket: UdpSocket, timeout: Duration) -> Result<Self, Error> {
        ssl.set_accept_state();
        Self::handshake(ssl, socket, timeout)
    }

    /// Takes over a handshake that the caller made, with DTLS 1.2 and an AEAD suite. The handshake object is
    /// gone afterwards, so that nobody but the socket seals in its epoch. Data that came before the
    /// handshake was over, or that nobody has read from the object, is what the socket receives first.
    ///
    /// # Errors
    ///
    /// [`Error::Handover`] says what is in the way. The handshake is lost then.
    pub fn from_openssl(stream: SslStream<HandshakeIo<UdpSocket>>) -> Result<Self, Error> {
        Ok(Self {
            endpoint: take_over_read(stream)?,
        })
    }

    fn handshake(ssl: Ssl, socket: UdpSocket, timeout: Duration) -> Result<Self, Error> {
        let start = Instant::now();
        let read_timeout = socket.read_timeout()?;
        // A datagram that the socket announces may be none: its checksum is looked at when it is read.
        socket.set_read_timeout(Some(TICK))?;
        let mut stream = stream(ssl, socket)?;
        while let Some(waits_for) = drive(&mut stream)? {
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
