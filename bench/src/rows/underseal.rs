//! underseal over a blocking socket.

use std::net::TcpStream;

use underseal::blocking::{TlsAcceptor, TlsConnector, TlsStream};
use underseal::{ClientConnection, ServerConnection};

use super::blocking::BlockingRow;
use super::{Tuning, name};
use crate::credentials::{Credentials, Provider, server_name};

/// `underseal::blocking`, with the AEAD backend that it picks by itself.
pub struct Underseal {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// Its stream as a server.
pub type ServerStream = TlsStream<TcpStream, ServerConnection>;

impl Underseal {
    /// underseal; the provider is for the handshake alone.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        Ok(Self {
            acceptor: credentials.server(Provider::Ring)?.into(),
            connector: credentials.client(Provider::Ring)?.into(),
        })
    }
}

impl BlockingRow for Underseal {
    type Server = ServerStream;
    type Client = TlsStream<TcpStream, ClientConnection>;

    fn name(&self) -> &'static str {
        name::UNDERSEAL
    }

    fn accept(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<Self::Server> {
        Ok(self.acceptor.accept(tcp)?)
    }

    fn connect(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<Self::Client> {
        Ok(self.connector.connect(server_name(), tcp)?)
    }
}
