//! Handshakes of the `openssl` crate, in tasks of tokio.

use std::time::Duration;

use openssl::ssl::{ErrorCode, Ssl, SslStream};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::DtlsSocket;
use crate::handover::take_over;
use crate::handshake::{TICK, stream, waits};
use crate::{Error, HandshakeIo};

impl DtlsSocket {
    /// Makes a client's handshake over `socket`, which is connected to the server, and takes it
    /// over. A handshake that is cancelled is lost, with its socket.
    ///
    /// # Errors
    ///
    /// As [`blocking::DtlsSocket::connect`](crate::blocking::DtlsSocket::connect).
    pub async fn connect(mut ssl: Ssl, socket: UdpSocket, limit: Duration) -> Result<Self, Error> {
        ssl.set_connect_state();
        Self::handshake(ssl, socket, limit).await
    }

    /// Makes a server's handshake over `socket`, which is connected to the client, and takes it over.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn accept(mut ssl: Ssl, socket: UdpSocket, limit: Duration) -> Result<Self, Error> {
        ssl.set_accept_state();
        Self::handshake(ssl, socket, limit).await
    }

    /// As [`blocking::DtlsSocket::from_openssl`](crate::blocking::DtlsSocket::from_openssl).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_openssl(stream: SslStream<HandshakeIo<UdpSocket>>) -> Result<Self, Error> {
        Ok(Self {
            endpoint: take_over(stream)?,
        })
    }

    async fn handshake(ssl: Ssl, socket: UdpSocket, limit: Duration) -> Result<Self, Error> {
        let mut stream = stream(ssl, socket)?;
        match timeout(limit, drive(&mut stream)).await {
            Ok(finished) => finished?,
            Err(_) => return Err(Error::HandshakeTimedOut),
        }
        Self::from_openssl(stream)
    }
}

async fn drive(stream: &mut SslStream<HandshakeIo<UdpSocket>>) -> Result<(), Error> {
    while let Err(error) = stream.do_handshake() {
        if !waits(&error) {
            return Err(error.into());
        }
        let socket = stream.get_ref().socket();
        if error.code() == ErrorCode::WANT_WRITE {
            socket.writable().await?;
        } else if let Ok(readable) = timeout(TICK, socket.readable()).await {
            readable?;
        }
    }
    Ok(())
}
