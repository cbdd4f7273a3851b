//! underseal over a blocking socket.

use std::net::TcpStream;

use underseal::blocking::{TlsAcceptor, TlsConnector, TlsStream};
use underseal::{ClientConnection, Offload, Offloads, ServerConnection};

use super::blocking::BlockingRow;
use super::{Tuning, name};
use crate::credentials::{Credentials, Provider, server_name};

/// `underseal::blocking`, with the AEAD backend that it picks by itself.
pub struct Underseal {
    name: &'static str,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// Its stream as a server.
pub type ServerStream = TlsStream<TcpStream, ServerConnection>;

impl Underseal {
    /// underseal with the engines that it picks by itself; the provider is for the handshake alone.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        Self::with_engines(credentials, name::UNDERSEAL, Offload::Auto.into())
    }

    /// A row `name` with these engines.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn with_engines(
        credentials: &Credentials,
        name: &'static str,
        offloads: Offloads,
    ) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(credentials.server(Provider::Ring)?);
        let connector = TlsConnector::from(credentials.client(Provider::Ring)?);
        Ok(Self {
            name,
            acceptor: acceptor.offload(offloads),
            connector: connector.offload(offloads),
        })
    }
}

impl BlockingRow for Underseal {
    type Server = ServerStream;
    type Client = TlsStream<TcpStream, ClientConnection>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn accept(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<Self::Server> {
        Ok(self.acceptor.accept(tcp)?)
    }

    fn connect(&self, tcp: TcpStream, _: Tuning) -> anyhow::Result<Self::Client> {
        Ok(self.connector.connect(server_name(), tcp)?)
    }
}
