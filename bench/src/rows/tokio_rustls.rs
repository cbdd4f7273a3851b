//! tokio-rustls on a current-thread runtime.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::asynchronous::AsyncRow;
use super::{Tuning, name};
use crate::credentials::{Credentials, Provider, server_name};
use crate::pairs::RECORD;

/// tokio-rustls with one of rustls' providers.
///
/// Its send buffer keeps rustls' own limit of 64 KiB: without one, a writer that is faster than
/// the socket would queue everything in memory.
#[derive(Clone)]
pub struct TokioRustls {
    name: &'static str,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl TokioRustls {
    /// tokio-rustls over `provider`.
    ///
    /// # Errors
    ///
    /// When rustls refuses the certificate.
    pub fn new(credentials: &Credentials, provider: Provider) -> anyhow::Result<Self> {
        let server: Arc<ServerConfig> = credentials.server(provider)?;
        Ok(Self {
            name: match provider {
                Provider::Ring => name::TOKIO_RUSTLS_RING,
                Provider::AwsLcRs => name::TOKIO_RUSTLS_AWS,
            },
            acceptor: server.into(),
            connector: credentials.client(provider)?.into(),
        })
    }
}

impl AsyncRow for TokioRustls {
    type Stream = TlsStream<Wire>;

    fn name(&self) -> &'static str {
        self.name
    }

    async fn accept(&self, tcp: TcpStream, tuning: Tuning) -> io::Result<Self::Stream> {
        let stream = self.acceptor.accept(Wire::new(tcp, tuning)).await?;
        Ok(stream.into())
    }

    async fn connect(&self, tcp: TcpStream, tuning: Tuning) -> io::Result<Self::Stream> {
        let stream = self
            .connector
            .connect(server_name(), Wire::new(tcp, tuning))
            .await?;
        Ok(stream.into())
    }
}

/// The socket, behind a read buffer as large as the application's where that is more than a
/// record, as for blocking rustls. Boxed, so that a stream without one is as small as it can be.
#[derive(Debug)]
pub enum Wire {
    /// The socket itself.
    Direct(TcpStream),
    /// The socket behind a buffer.
    Buffered(Box<BufReader<TcpStream>>),
}

impl Wire {
    fn new(tcp: TcpStream, tuning: Tuning) -> Self {
        if tuning.read_buffer > RECORD {
            Self::Buffered(Box::new(BufReader::with_capacity(tuning.read_buffer, tcp)))
        } else {
            Self::Direct(tcp)
        }
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(match self.get_mut() {
            Self::Direct(tcp) => tcp,
            Self::Buffered(buffered) => buffered.get_mut(),
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Direct(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Buffered(buffered) => Pin::new(buffered).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write(context, buffer)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(context)
    }
}
