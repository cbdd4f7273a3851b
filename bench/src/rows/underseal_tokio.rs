//! underseal on a current-thread runtime.

use std::io;

use tokio::net::TcpStream;
use underseal::{TlsAcceptor, TlsConnector, TlsStream};

use super::asynchronous::AsyncRow;
use super::{Tuning, name};
use crate::credentials::{Credentials, Provider, server_name};

/// underseal's tokio streams.
#[derive(Clone)]
pub struct UndersealTokio {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl UndersealTokio {
    /// underseal; the provider is for the handshake alone.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn new(credentials: &Credentials, provider: Provider) -> anyhow::Result<Self> {
        Ok(Self {
            acceptor: credentials.server(provider)?.into(),
            connector: credentials.client(provider)?.into(),
        })
    }
}

impl AsyncRow for UndersealTokio {
    type Stream = TlsStream<TcpStream>;

    fn name(&self) -> &'static str {
        name::UNDERSEAL_TOKIO
    }

    async fn accept(&self, tcp: TcpStream, _: Tuning) -> io::Result<Self::Stream> {
        Ok(self.acceptor.accept(tcp).await?.into())
    }

    async fn connect(&self, tcp: TcpStream, _: Tuning) -> io::Result<Self::Stream> {
        Ok(self.connector.connect(server_name(), tcp).await?.into())
    }
}
