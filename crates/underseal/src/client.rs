//! TLS clients over tokio streams.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, CommonState};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Error;
use crate::handshake::{ClientHandshake, prepare_client};
use crate::mid_handshake::MidHandshake;
use crate::offload::Offloads;

pub use crate::session::ClientConnection;

/// An established TLS connection, client side.
pub type TlsStream<IO> = crate::stream::Stream<IO, ClientConnection>;

/// Makes TLS connections over tokio streams.
///
/// It works on a copy of the configuration with `enable_secret_extraction` set; the session store
/// and the certificate verifier are shared with the original. The copy is kept for the next connector of
/// the same configuration, to which a weak reference stays: [`Arc::get_mut`] of it fails from then on,
/// [`Arc::make_mut`] works.
#[derive(Clone)]
pub struct TlsConnector {
    original: Arc<ClientConfig>,
    prepared: Arc<ClientConfig>,
    offloads: Offloads,
    #[cfg(feature = "early-data")]
    early_data: bool,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            prepared: prepare_client(&config),
            original: config,
            offloads: Offloads::default(),
            #[cfg(feature = "early-data")]
            early_data: false,
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
        F: FnOnce(&mut Handshaking<'_>),
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

    /// Whether [`connect`](Self::connect) resolves before the handshake where 0-RTT data may be sent:
    /// the configuration has `enable_early_data`, and a session with this server is there to be
    /// resumed and allows it. As with tokio-rustls, what is written first is early data then, up to
    /// what the server takes and 64 KiB. A flush or shutdown, or a write of more, makes the handshake;
    /// what the server refuses is written again after it. A read waits until that is done, by whoever
    /// writes. [`ClientConnection::is_early_data_accepted`] tells how it ended, and is false before.
    ///
    /// A stream without a handshake cannot be taken apart, and a program for what is sent, if one is
    /// attached, is asked about all that is written from then on, so that it is early data no more.
    ///
    /// **Early data can be replayed**: see [`connect_early`](Self::connect_early).
    #[cfg(feature = "early-data")]
    #[must_use]
    pub fn early_data(mut self, flag: bool) -> Self {
        self.early_data = flag;
        self
    }

    /// The same connector, offering these application protocols instead of the configuration's.
    pub fn with_alpn(&self, alpn_protocols: Vec<Vec<u8>>) -> TlsConnectorWithAlpn<'_> {
        TlsConnectorWithAlpn {
            connector: self,
            alpn_protocols,
        }
    }

    /// Chooses where this connector's connections are sealed and opened: [`crate::Offload::Auto`] for both
    /// directions by default. [`Offloads::from_environment`] lets the program's user choose.
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
        f: impl FnOnce(&mut Handshaking<'_>),
    ) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = ClientHandshake::new(Arc::clone(&self.prepared), domain, alpn, early_data);
        let handshake = handshake.map(|mut handshake| {
            f(&mut Handshaking(&mut handshake));
            handshake
        });
        let handshake = handshake.map_err(Error::before_handshake);
        #[cfg(feature = "early-data")]
        if self.early_data {
            return Connect(MidHandshake::start_early(stream, handshake, self.offloads));
        }
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
        F: FnOnce(&mut Handshaking<'_>),
    {
        let alpn = Some(self.alpn_protocols);
        self.connector.start(domain, stream, alpn, Vec::new(), f)
    }
}

/// A client's connection before its handshake: what closures of
/// [`connect_with`](TlsConnector::connect_with) see. It derefs to what rustls knows of it.
///
/// Whether ECH is offered the stream tells, when the handshake is done:
/// [`ClientConnection::ech_status`].
pub struct Handshaking<'a>(&'a mut ClientHandshake);

impl Handshaking<'_> {
    /// Writes 0-RTT data, which is sent with the ClientHello. `None` unless the configuration has
    /// `enable_early_data` and there is a session to be resumed that allows it.
    ///
    /// What the server refuses is lost, as with rustls: ask
    /// [`ClientConnection::is_early_data_accepted`], and write it again.
    /// [`TlsConnector::connect_early`] does that by itself, and says what the danger is.
    pub fn early_data(&mut self) -> Option<WriteEarlyData<'_>> {
        let may_send = self.0.may_send_early_data();
        may_send.then_some(WriteEarlyData(self.0))
    }

    /// As [`CommonState::set_buffer_limit`](crate::CommonState::set_buffer_limit) of the session.
    pub fn set_buffer_limit(&mut self, limit: Option<usize>) {
        self.0.orders().set_buffer_limit(limit);
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

/// Writes 0-RTT data: see [`Handshaking::early_data`]. Zero bytes are taken where the server is known
/// to take no more.
pub struct WriteEarlyData<'a>(&'a mut ClientHandshake);

impl io::Write for WriteEarlyData<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.0.seal_early_data(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for WriteEarlyData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriteEarlyData")
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
