//! TLS servers over tokio streams.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::handshake::{ServerHandshake, prepare_server};
use crate::mid_handshake::MidHandshake;
use crate::offload::Offloads;

pub use crate::lazy::{LazyConfigAcceptor, StartHandshake};
pub use crate::session::ServerConnection;

/// An established TLS connection, server side.
pub type TlsStream<IO> = crate::stream::Stream<IO, ServerConnection>;

/// Accepts TLS connections over tokio streams.
///
/// It works on a copy of the configuration with `enable_secret_extraction` set; sessions, tickets
/// and the certificate resolver are shared with the original.
#[derive(Clone)]
pub struct TlsAcceptor {
    original: Arc<ServerConfig>,
    prepared: Arc<ServerConfig>,
    offloads: Offloads,
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self {
            prepared: prepare_server(&config),
            original: config,
            offloads: Offloads::default(),
        }
    }
}

impl TlsAcceptor {
    /// Starts the handshake of a client that connected. Bound the time that it may take.
    pub fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, stream: IO) -> Accept<IO> {
        self.accept_with(stream, |_| ())
    }

    /// As [`accept`](Self::accept); `f` sees the connection before the handshake starts.
    pub fn accept_with<IO, F>(&self, stream: IO, f: F) -> Accept<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(&mut UnbufferedServerConnection),
    {
        let prepared = Arc::clone(&self.prepared);
        Accept::start(stream, prepared, Vec::new(), self.offloads, f)
    }

    /// Chooses where this acceptor's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`OFFLOAD_VARIABLE`](crate::OFFLOAD_VARIABLE) has the last word.
    #[must_use]
    pub fn offload(mut self, offloads: impl Into<Offloads>) -> Self {
        self.offloads = offloads.into();
        self
    }

    /// The configuration that the acceptor was made from.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.original
    }
}

/// A server's handshake: resolves to the [`TlsStream`].
///
/// Dropped before that, it leaves the client with an unfinished handshake.
///
/// # Panics
///
/// If it is polled after it completed.
///
/// Where it fails, and the client was told why over a TCP socket, it waits until the client has closed,
/// within the limits of [`crate::Linger`]: the alert would be lost if the socket were reset.
/// [`FallibleAccept`] does not wait.
#[must_use = "futures do nothing unless polled"]
pub struct Accept<IO>(MidHandshake<IO, ServerHandshake>);

impl<IO> Accept<IO> {
    pub(crate) fn start(
        stream: IO,
        prepared: Arc<ServerConfig>,
        received: Vec<u8>,
        offloads: Offloads,
        f: impl FnOnce(&mut UnbufferedServerConnection),
    ) -> Self {
        let handshake = ServerHandshake::new(prepared, received).map(|mut handshake| {
            f(handshake.connection());
            handshake
        });
        Self(MidHandshake::start(stream, handshake, offloads))
    }

    /// The same handshake, giving the stream below back if it fails.
    pub fn into_fallible(self) -> FallibleAccept<IO> {
        FallibleAccept(self.0)
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

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Accept<IO> {
    type Output = io::Result<TlsStream<IO>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_and_linger(cx)
    }
}

/// As [`Accept`], giving the stream below back if the handshake fails. One that is closed while the
/// client still sends may be reset and lose the alert: shut it down, and [`crate::linger`].
#[must_use = "futures do nothing unless polled"]
pub struct FallibleAccept<IO>(MidHandshake<IO, ServerHandshake>);

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for FallibleAccept<IO> {
    type Output = Result<TlsStream<IO>, (io::Error, IO)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}
