//! TLS servers over tokio streams.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Error;
use crate::handshake::{ServerHandshake, prepare_server};
use crate::mid_handshake::MidHandshake;
use crate::offload::Offloads;

pub use crate::lazy::{LazyConfigAcceptor, StartHandshake};
pub use crate::session::{ReadEarlyData, ServerConnection};

/// An established TLS connection, server side.
pub type TlsStream<IO> = crate::stream::Stream<IO, ServerConnection>;

/// Accepts TLS connections over tokio streams.
///
/// It works on a copy of the configuration with `enable_secret_extraction` set; sessions, tickets
/// and the certificate resolver are shared with the original. The copy is kept for the next acceptor of
/// the same configuration, to which a weak reference stays: [`Arc::get_mut`] of it fails from then on,
/// [`Arc::make_mut`] works.
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
    /// Starts the handshake of a client that connected. Bound the time that it may take: it has not
    /// ended before the stream took the tickets, as with tokio-rustls, so that the client of a pipe
    /// that holds less than these has to read.
    pub fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, stream: IO) -> Accept<IO> {
        self.accept_with(stream, |_| ())
    }

    /// As [`accept`](Self::accept); `f` sees the connection before the handshake starts.
    pub fn accept_with<IO, F>(&self, stream: IO, f: F) -> Accept<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(&mut Handshaking<'_>),
    {
        let prepared = Arc::clone(&self.prepared);
        let handshake = ServerHandshake::new(prepared, Vec::new());
        let handshake = handshake.map_err(Error::before_handshake);
        Accept::start(stream, handshake, self.offloads, f)
    }

    /// Chooses where this acceptor's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`Offloads::from_environment`] lets the program's user choose.
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

/// A server's connection before its handshake: what closures of
/// [`accept_with`](TlsAcceptor::accept_with) and
/// [`into_stream_with`](StartHandshake::into_stream_with) see. It derefs to what rustls knows of it.
///
/// The client's hello is read after the closure, for `into_stream_with` too: nothing is known of it.
pub struct Handshaking<'a>(&'a mut ServerHandshake);

impl Handshaking<'_> {
    /// Puts `data` into the sessions that the client can resume; the server that resumes one gets it
    /// by [`ServerConnection::received_resumption_data`]. The client cannot change it,
    /// but do not count on it that it cannot read it.
    ///
    /// # Panics
    ///
    /// If it is 2^15 bytes or more, as rustls' own does.
    pub fn set_resumption_data(&mut self, data: &[u8]) {
        assert!(
            data.len() < 1 << 15,
            "resumption data of 2^15 bytes or more"
        );
        self.0.set_resumption_data(data);
    }

    /// Takes no 0-RTT data, whatever the configuration says: what the client sends is skipped.
    pub fn reject_early_data(&mut self) {
        self.0.reject_early_data();
    }

    /// As [`CommonState::set_buffer_limit`](crate::CommonState::set_buffer_limit) of the session.
    pub fn set_buffer_limit(&mut self, limit: Option<usize>) {
        self.0.orders().set_buffer_limit(limit);
    }

    /// Always `None`: the client has not sent any. See [`ServerConnection::early_data`].
    pub fn early_data(&mut self) -> Option<ReadEarlyData<'_>> {
        None
    }

    /// Always `None`: no session was resumed yet. See
    /// [`ServerConnection::received_resumption_data`].
    pub fn received_resumption_data(&self) -> Option<&[u8]> {
        None
    }

    /// Always `None`: the client has not said it. See [`ServerConnection::server_name`], and
    /// [`StartHandshake::client_hello`].
    pub fn server_name(&self) -> Option<&str> {
        None
    }
}

impl Deref for Handshaking<'_> {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        self.0.common()
    }
}

impl std::fmt::Debug for Handshaking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshaking")
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
        handshake: io::Result<ServerHandshake>,
        offloads: Offloads,
        f: impl FnOnce(&mut Handshaking<'_>),
    ) -> Self {
        let handshake = handshake.map(|mut handshake| {
            f(&mut Handshaking(&mut handshake));
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
