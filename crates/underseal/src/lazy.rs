use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello};
use rustls::{InvalidMessage, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use underseal_sys::tls::Direction;

use crate::Error;
use crate::handshake::{ServerHandshake, prepare_server};
use crate::offload::Offloads;
use crate::server::{Accept, Handshaking};
use crate::transport::{Polled, Transport, into_poll};
use crate::wakers::Wakers;

/// Reads a ClientHello before the server's configuration is chosen.
///
/// Bound the time of the whole handshake: this future and the one of
/// [`StartHandshake::into_stream`].
///
/// Where it fails, an alert was sent, and the stream is to be had by [`take_io`](Self::take_io). One
/// that is closed while the client still sends may be reset and lose the alert: shut it down, and
/// [`linger`](crate::linger).
///
/// # Panics
///
/// If it is polled after it completed or after [`take_io`](Self::take_io).
pub struct LazyConfigAcceptor<IO> {
    acceptor: Acceptor,
    io: Option<IO>,
    received: Vec<u8>,
    refused: Option<Refused>,
    is_complete: bool,
}

struct Refused {
    error: rustls::Error,
    alert: Vec<u8>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> LazyConfigAcceptor<IO> {
    /// Reads the ClientHello from `io`.
    pub fn new(acceptor: Acceptor, io: IO) -> Self {
        Self {
            acceptor,
            io: Some(io),
            received: Vec::new(),
            refused: None,
            is_complete: false,
        }
    }

    /// Takes the stream back: `None` once the ClientHello was read.
    pub fn take_io(&mut self) -> Option<IO> {
        self.io.take()
    }

    fn advance(&mut self, transport: &mut impl Transport) -> io::Result<Accepted> {
        loop {
            if let Some(refused) = &mut self.refused {
                return Err(refused.report(transport)?);
            }
            let mut bytes = [0; 4096];
            let n = transport.recv(&mut bytes)?;
            if n == 0 {
                return Err(Error::ClosedInHandshake.into());
            }
            self.received.extend_from_slice(&bytes[..n]);
            let mut unread = &bytes[..n];
            while !unread.is_empty() && self.refused.is_none() {
                match self.acceptor.read_tls(&mut unread) {
                    Ok(0) => break,
                    Ok(_) => {}
                    // Reading from memory fails where rustls does not keep any more.
                    Err(_) => self.refused = Some(Refused::too_long()),
                }
            }
            if self.refused.is_some() {
                continue;
            }
            match self.acceptor.accept() {
                Ok(Some(accepted)) => return Ok(accepted),
                Ok(None) => {}
                Err((error, alert)) => self.refused = Some(Refused::new(error, alert)),
            }
        }
    }
}

/// The alerts that rustls' acceptor does not have: of a first message that is no ClientHello, and of
/// one that is too long.
fn missing_alert(error: &rustls::Error) -> &'static [u8] {
    match error {
        rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. } => &UNEXPECTED_MESSAGE,
        rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => &DECODE_ERROR,
        _ => &[],
    }
}

/// Fatal alerts, unprotected.
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

impl Refused {
    fn too_long() -> Self {
        Self {
            error: rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge),
            alert: DECODE_ERROR.to_vec(),
        }
    }

    fn new(error: rustls::Error, mut alert: AcceptedAlert) -> Self {
        let mut bytes = Vec::new();
        // Writing into memory does not fail; without the alert the error is reported all the same.
        let _ = alert.write_all(&mut bytes);
        if bytes.is_empty() {
            bytes.extend(missing_alert(&error));
        }
        Self {
            error,
            alert: bytes,
        }
    }

    /// Sends the alert; the error that it answers is the result.
    fn report(&mut self, transport: &mut impl Transport) -> io::Result<io::Error> {
        match self.send(transport) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // Why the client was refused matters more than why the alert did not go out.
            _ => Ok(Error::from(self.error.clone()).into()),
        }
    }

    fn send(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while !self.alert.is_empty() {
            match transport.send(&self.alert)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => drop(self.alert.drain(..n)),
            }
        }
        transport.flush()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for LazyConfigAcceptor<IO> {
    type Output = io::Result<StartHandshake<IO>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(
            !this.is_complete,
            "an acceptor was polled after it had completed"
        );
        let mut io = this
            .io
            .take()
            .expect("an acceptor is not polled after `take_io`");
        let mut transport = Polled {
            io: &mut io,
            cx,
            // One task does both.
            wakers: &mut Wakers::default(),
            direction: Direction::Rx,
        };
        match into_poll(this.advance(&mut transport)) {
            Poll::Ready(Ok(accepted)) => {
                this.is_complete = true;
                Poll::Ready(Ok(StartHandshake {
                    accepted,
                    received: std::mem::take(&mut this.received),
                    offloads: Offloads::default(),
                    io,
                }))
            }
            Poll::Ready(Err(error)) => {
                this.is_complete = true;
                this.io = Some(io);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                this.io = Some(io);
                Poll::Pending
            }
        }
    }
}

/// A client whose ClientHello was read.
///
/// There is no `from_parts`: the handshake is made from the ClientHello's bytes, which rustls'
/// [`Accepted`] does not give back.
#[non_exhaustive]
pub struct StartHandshake<IO> {
    /// What the client asked for.
    pub accepted: Accepted,
    /// The stream below. Reading from it or writing to it breaks the handshake.
    pub io: IO,
    received: Vec<u8>,
    offloads: Offloads,
}

impl<IO: std::fmt::Debug> std::fmt::Debug for StartHandshake<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartHandshake")
            .field("accepted", &self.accepted)
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> StartHandshake<IO> {
    /// What the client asked for.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// Goes on with the handshake under `config`.
    pub fn into_stream(self, config: Arc<ServerConfig>) -> Accept<IO> {
        self.into_stream_with(config, |_| ())
    }

    /// As [`into_stream`](Self::into_stream); `f` sees the connection before the handshake goes on.
    pub fn into_stream_with<F>(self, config: Arc<ServerConfig>, f: F) -> Accept<IO>
    where
        F: FnOnce(&mut Handshaking<'_>),
    {
        // The ClientHello is read again, by the connection that answers it.
        let prepared = prepare_server(&config);
        let handshake = ServerHandshake::new(prepared, self.received);
        // As with tokio-rustls, which finds out together with what the client said.
        let handshake = handshake.map_err(io::Error::from);
        Accept::start(self.io, handshake, self.offloads, f)
    }

    /// Chooses where the connection is sealed and opened, as [`crate::TlsAcceptor::offload`] does.
    #[must_use]
    pub fn offload(mut self, offloads: impl Into<Offloads>) -> Self {
        self.offloads = offloads.into();
        self
    }

    /// The stream below.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }
}
