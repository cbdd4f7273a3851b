//! TLS clients over tokio streams.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::handshake::{ClientHandshake, prepare_client};
use crate::mid_handshake::MidHandshake;
use crate::offload::Offloads;

pub use crate::session::ClientConnection;

/// An established TLS connection, client side.
pub type TlsStream<IO> = crate::stream::Stream<IO, ClientConnection>;

/// Makes TLS connections over tokio streams.
///
/// It works on a copy of the configuration with `enable_secret_extraction` set; the session store
/// and the certificate verifier are shared with the original.
#[derive(Clone)]
pub struct TlsConnector {
    original: Arc<ClientConfig>,
    prepared: Arc<ClientConfig>,
    offloads: Offloads,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            prepared: prepare_client(&config),
            original: config,
            offloads: Offloads::default(),
        }
    }
}

impl TlsConnector {
    /// Starts the handshake with the server called `domain`.
    pub fn connect<IO>(&self, domain: ServerName<'static>, stream: IO) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.connect_with(domain, stream, |_| ())
    }

    /// As [`connect`](Self::connect); `f` sees the connection before the handshake starts.
    pub fn connect_with<IO, F>(&self, domain: ServerName<'static>, stream: IO, f: F) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(&mut UnbufferedClientConnection),
    {
        self.start(domain, stream, None, Vec::new(), f)
    }

    /// As [`connect`](Self::connect), and sends `data` as 0-RTT data if a session with this server
    /// is there to be resumed and allows it. Otherwise, or if the server refuses it, `data` is the
    /// first thing written after the handshake; [`ClientConnection::is_early_data_accepted`] tells
    /// which.
    ///
    /// **Early data can be replayed** by whoever records it, and is not forward secret: send only
    /// what may be acted on twice (RFC 8446 section 8 and appendix E.5).
    pub fn connect_early<IO>(
        &self,
        domain: ServerName<'static>,
        stream: IO,
        data: Vec<u8>,
    ) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.start(domain, stream, None, data, |_| ())
    }

    /// The same connector, offering these application protocols instead of the configuration's.
    pub fn with_alpn(&self, alpn_protocols: Vec<Vec<u8>>) -> TlsConnectorWithAlpn<'_> {
        TlsConnectorWithAlpn {
            connector: self,
            alpn_protocols,
        }
    }

    /// Chooses where this connector's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`OFFLOAD_VARIABLE`](crate::OFFLOAD_VARIABLE) has the last word.
    #[must_use]
    pub fn offload(mut self, offloads: impl Into<Offloads>) -> Self {
        self.offloads = offloads.into();
        self
    }

    /// The configuration that the connector was made from.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.original
    }

    fn start<IO>(
        &self,
        domain: ServerName<'static>,
        stream: IO,
        alpn: Option<Vec<Vec<u8>>>,
        early_data: Vec<u8>,
        f: impl FnOnce(&mut UnbufferedClientConnection),
    ) -> Connect<IO> {
        let handshake = ClientHandshake::new(Arc::clone(&self.prepared), domain, alpn, early_data);
        let handshake = handshake.map(|mut handshake| {
            f(handshake.connection());
            handshake
        });
        Connect(MidHandshake::start(stream, handshake, self.offloads))
    }
}

/// A connector with application protocols of its own.
pub struct TlsConnectorWithAlpn<'c> {
    connector: &'c TlsConnector,
    alpn_protocols: Vec<Vec<u8>>,
}

impl TlsConnectorWithAlpn<'_> {
    /// As [`TlsConnector::connect`].
    pub fn connect<IO>(self, domain: ServerName<'static>, stream: IO) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.connect_with(domain, stream, |_| ())
    }

    /// As [`TlsConnector::connect_with`].
    pub fn connect_with<IO, F>(self, domain: ServerName<'static>, stream: IO, f: F) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(&mut UnbufferedClientConnection),
    {
        let alpn = Some(self.alpn_protocols);
        self.connector.start(domain, stream, alpn, Vec::new(), f)
    }
}

/// A client's handshake: resolves to the [`TlsStream`].
///
/// Dropped before that, it leaves the server with an unfinished handshake.
///
/// # Panics
///
/// If it is polled after it completed.
///
/// Where it fails, and the server was told why over a TCP socket, it waits until the server has closed,
/// within the limits of [`crate::Linger`]: the alert would be lost if the socket were reset.
/// [`FallibleConnect`] does not wait.
#[must_use = "futures do nothing unless polled"]
pub struct Connect<IO>(MidHandshake<IO, ClientHandshake>);

impl<IO> Connect<IO> {
    /// The same handshake, giving the stream below back if it fails.
    pub fn into_fallible(self) -> FallibleConnect<IO> {
        FallibleConnect(self.0)
    }

    /// The stream below.
    pub fn get_ref(&self) -> Option<&IO> {
        self.0.get_ref()
    }

    /// The stream below.
    pub fn get_mut(&mut self) -> Option<&mut IO> {
        self.0.get_mut()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Connect<IO> {
    type Output = io::Result<TlsStream<IO>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_and_linger(cx)
    }
}

/// As [`Connect`], giving the stream below back if the handshake fails. One that is closed while the
/// server still sends may be reset and lose the alert: shut it down, and [`crate::linger`].
#[must_use = "futures do nothing unless polled"]
pub struct FallibleConnect<IO>(MidHandshake<IO, ClientHandshake>);

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for FallibleConnect<IO> {
    type Output = Result<TlsStream<IO>, (io::Error, IO)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}
