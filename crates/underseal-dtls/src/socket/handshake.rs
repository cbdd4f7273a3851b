//! Handshakes of the `openssl` crate, in tasks of tokio.

use std::time::Duration;

use openssl::ssl::{Ssl, SslRef, SslStream};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::DtlsSocket;
use crate::drive::wait;
use crate::handover::{take_over, take_over_read};
use crate::handshake::{self, stream};
use crate::{Error, HandshakeIo};

impl DtlsSocket {
    /// Makes a client's handshake over `socket`, which is connected to the server, and takes it
    /// over. A handshake that is cancelled is lost, with its socket.
    ///
    /// # Errors
    ///
    /// As [`blocking::DtlsSocket::connect`](crate::blocking::DtlsSocket::connect).
    pub async fn connect(ssl: Ssl, socket: UdpSocket, limit: Duration) -> Result<Self, Error> {
        Self::connect_with(ssl, socket, limit, |_| ())
            .await
            .map(|(socket, ())| socket)
    }

    /// As [`connect`](Self::connect), and has `inspect` look at what was agreed on, such as the server's
    /// certificate, before that is gone.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn connect_with<T>(
        mut ssl: Ssl,
        socket: UdpSocket,
        limit: Duration,
        inspect: impl FnOnce(&SslRef) -> T,
    ) -> Result<(Self, T), Error> {
        ssl.set_connect_state();
        Self::handshake(ssl, socket, limit, inspect).await
    }

    /// Makes a server's handshake over `socket`, which is connected to the client, and takes it over.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn accept(mut ssl: Ssl, socket: UdpSocket, limit: Duration) -> Result<Self, Error> {
        ssl.set_accept_state();
        let accepted = Self::handshake(ssl, socket, limit, |_| ()).await;
        accepted.map(|(socket, ())| socket)
    }

    /// As [`blocking::DtlsSocket::from_openssl`](crate::blocking::DtlsSocket::from_openssl).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_openssl(stream: SslStream<HandshakeIo<UdpSocket>>) -> Result<Self, Error> {
        Ok(Self::of(take_over_read(stream)?))
    }

    async fn handshake<T>(
        ssl: Ssl,
        socket: UdpSocket,
        limit: Duration,
        inspect: impl FnOnce(&SslRef) -> T,
    ) -> Result<(Self, T), Error> {
        let mut stream = stream(ssl, socket)?;
        match timeout(limit, drive(&mut stream)).await {
            Ok(finished) => finished?,
            Err(_) => return Err(Error::HandshakeTimedOut),
        }
        let inspected = inspect(stream.ssl());
        Ok((Self::of(take_over(stream)?), inspected))
    }
}

async fn drive(stream: &mut SslStream<HandshakeIo<UdpSocket>>) -> Result<(), Error> {
    while let Some(waits_for) = handshake::drive(stream)? {
        wait(stream.get_ref().socket(), waits_for).await?;
    }
    Ok(())
}
