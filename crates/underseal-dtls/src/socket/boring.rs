//! Handshakes of the `boring` crate, in tasks of tokio.

use std::time::Duration;

use boring::ssl::{Ssl, SslStream};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::DtlsSocket;
use crate::boring::{Role, stream, take_over, take_over_read};
use crate::drive::wait;
use crate::{Error, HandshakeIo};

impl DtlsSocket {
    /// As [`blocking::DtlsSocket::connect_boring`](crate::blocking::DtlsSocket::connect_boring). A handshake that
    /// is cancelled is lost, with its socket.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn connect_boring(
        ssl: Ssl,
        socket: UdpSocket,
        limit: Duration,
    ) -> Result<Self, Error> {
        Self::boring_handshake(ssl, socket, limit, Role::Client).await
    }

    /// As [`blocking::DtlsSocket::accept_boring`](crate::blocking::DtlsSocket::accept_boring).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn accept_boring(
        ssl: Ssl,
        socket: UdpSocket,
        limit: Duration,
    ) -> Result<Self, Error> {
        Self::boring_handshake(ssl, socket, limit, Role::Server).await
    }

    /// As [`blocking::DtlsSocket::from_boring`](crate::blocking::DtlsSocket::from_boring).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_boring(stream: SslStream<HandshakeIo<UdpSocket>>) -> Result<Self, Error> {
        Ok(Self::of(take_over_read(stream)?))
    }

    async fn boring_handshake(
        ssl: Ssl,
        socket: UdpSocket,
        limit: Duration,
        role: Role,
    ) -> Result<Self, Error> {
        let mut stream = stream(ssl, socket)?;
        match timeout(limit, drive(&mut stream, role)).await {
            Ok(finished) => finished?,
            Err(_) => return Err(Error::HandshakeTimedOut),
        }
        Ok(Self::of(take_over(stream)?))
    }
}

async fn drive(stream: &mut SslStream<HandshakeIo<UdpSocket>>, role: Role) -> Result<(), Error> {
    while let Some(waits_for) = crate::boring::drive(stream, role)? {
        wait(stream.get_ref().socket(), waits_for).await?;
    }
    Ok(())
}
