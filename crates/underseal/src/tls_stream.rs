use std::borrow::BorrowMut;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use underseal_message::{Filter, Peer, Program};
use underseal_record::{Backend, ContentType, Limits, Padding};

use crate::engine;
use crate::parts::Parts;
use crate::{
    CommonState, Connection, Counters, Direction, Engines, Error, KeyUpdateRequest, Linger,
    Offloads, client, server,
};

/// A TLS connection of either side, where one type has to hold both. Its methods are those of
/// [`Stream`](crate::Stream); what takes a connection apart gives a [`Connection`], which knows which
/// side it is.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two sides")]
pub enum TlsStream<IO> {
    /// The client's side.
    Client(client::TlsStream<IO>),
    /// The server's side.
    Server(server::TlsStream<IO>),
}

impl<IO> TlsStream<IO> {
    /// The stream below and what the handshake agreed on.
    pub fn get_ref(&self) -> (&IO, &CommonState) {
        match self {
            Self::Client(stream) => {
                let (io, session) = stream.get_ref();
                (io, session)
            }
            Self::Server(stream) => {
                let (io, session) = stream.get_ref();
                (io, session)
            }
        }
    }

    /// The stream below and what the handshake agreed on. Reading from or writing to the stream
    /// below breaks the connection.
    pub fn get_mut(&mut self) -> (&mut IO, &mut CommonState) {
        match self {
            Self::Client(stream) => {
                let (io, session) = stream.get_mut();
                (io, session)
            }
            Self::Server(stream) => {
                let (io, session) = stream.get_mut();
                (io, session)
            }
        }
    }
}

fn of_either<IO>(parts: Parts<IO, impl Into<Connection>>) -> Parts<IO, Connection> {
    let (session, parts) = parts.replace_session(());
    parts.replace_session(session.into()).1
}

impl<IO> From<client::TlsStream<IO>> for TlsStream<IO> {
    fn from(stream: client::TlsStream<IO>) -> Self {
        Self::Client(stream)
    }
}

impl<IO> From<server::TlsStream<IO>> for TlsStream<IO> {
    fn from(stream: server::TlsStream<IO>) -> Self {
        Self::Server(stream)
    }
}

/// Calls the same method of whichever side it is.
macro_rules! either {
    ($this:expr, $stream:ident => $call:expr) => {
        match $this {
            TlsStream::Client($stream) => $call,
            TlsStream::Server($stream) => $call,
        }
    };
}

impl<IO> TlsStream<IO> {
    /// See [`CommonState::export_keying_material`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<T, rustls::Error> {
        let (_, common) = self.get_ref();
        common.export_keying_material(output, label, context)
    }

    /// See [`CommonState::channel_binding`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn channel_binding(&self) -> Result<[u8; 32], rustls::Error> {
        self.get_ref().1.channel_binding()
    }

    /// See [`Stream::into_inner`](crate::Stream::into_inner).
    pub fn into_inner(self) -> (IO, Connection) {
        match self {
            Self::Client(stream) => {
                let (io, session) = stream.into_inner();
                (io, session.into())
            }
            Self::Server(stream) => {
                let (io, session) = stream.into_inner();
                (io, session.into())
            }
        }
    }

    /// See [`Stream::into_parts`](crate::Stream::into_parts).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn into_parts(self) -> Result<Parts<IO, Connection>, Error> {
        either!(self, stream => stream.into_parts().map(of_either))
    }

    /// See [`Stream::from_parts`](crate::Stream::from_parts). The session says which side it is.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_parts(parts: Parts<IO, Connection>) -> Result<Self, Error> {
        match parts.replace_session(()) {
            (Connection::Client(session), parts) => {
                let (_, parts) = parts.replace_session(session);
                Ok(Self::Client(client::TlsStream::from_parts(parts)?))
            }
            (Connection::Server(session), parts) => {
                let (_, parts) = parts.replace_session(session);
                Ok(Self::Server(server::TlsStream::from_parts(parts)?))
            }
        }
    }

    /// See [`Stream::pending_bytes`](crate::Stream::pending_bytes).
    pub fn pending_bytes(&self) -> usize {
        either!(self, stream => stream.pending_bytes())
    }

    /// See [`Stream::set_padding`](crate::Stream::set_padding).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn set_padding(&mut self, padding: Padding) -> Result<(), Error> {
        either!(self, stream => stream.set_padding(padding))
    }

    /// See [`Stream::lower_limits`](crate::Stream::lower_limits).
    pub fn lower_limits(&mut self, limits: Limits) {
        either!(self, stream => stream.lower_limits(limits));
    }

    /// See [`Stream::engines`](crate::Stream::engines).
    pub fn engines(&self) -> Engines {
        either!(self, stream => stream.engines())
    }

    /// See [`Stream::splices`](crate::Stream::splices).
    pub fn splices(&mut self, direction: Direction) -> bool {
        either!(self, stream => stream.splices(direction))
    }

    /// See [`Stream::set_offload`](crate::Stream::set_offload).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn set_offload(&mut self, offloads: impl Into<Offloads>) -> Result<(), Error> {
        either!(self, stream => stream.set_offload(offloads))
    }

    /// See [`Stream::detach`](crate::Stream::detach).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn detach(&mut self, direction: underseal_message::MessageDirection) -> Result<(), Error> {
        either!(self, stream => stream.detach(direction))
    }

    /// See [`Stream::redirect_peer`](crate::Stream::redirect_peer).
    pub fn redirect_peer(&mut self, limit: usize) -> Peer {
        either!(self, stream => stream.redirect_peer(limit))
    }

    /// See [`Stream::counters`](crate::Stream::counters).
    pub fn counters(&self) -> Counters {
        either!(self, stream => stream.counters())
    }

    /// See [`Stream::backend`](crate::Stream::backend).
    pub fn backend(&self) -> Option<Backend> {
        either!(self, stream => stream.backend())
    }

    /// See [`Stream::set_zerocopy_send_file`](crate::Stream::set_zerocopy_send_file).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn set_zerocopy_send_file(&mut self, on: bool) -> io::Result<()> {
        either!(self, stream => stream.set_zerocopy_send_file(on))
    }

    /// See [`Stream::set_expect_no_padding`](crate::Stream::set_expect_no_padding).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn set_expect_no_padding(&mut self, on: bool) -> io::Result<()> {
        either!(self, stream => stream.set_expect_no_padding(on))
    }

    /// See [`Stream::attach`](crate::Stream::attach).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn attach<P>(&mut self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        either!(self, stream => stream.attach(filter))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// See [`Stream::send_file`](crate::Stream::send_file).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn send_file(
        &mut self,
        file: &File,
        range: impl BorrowMut<Range<u64>>,
    ) -> io::Result<u64> {
        either!(self, stream => stream.send_file(file, range).await)
    }

    /// See [`Stream::write_more`](crate::Stream::write_more).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn write_more(&mut self, buf: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write_more(buf).await)
    }

    /// See [`Stream::peek`](crate::Stream::peek).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn peek(&mut self, out: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.peek(out).await)
    }

    /// See [`Stream::splice_to`](crate::Stream::splice_to).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn splice_to(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        either!(self, stream => stream.splice_to(pipe, len).await)
    }

    /// See [`Stream::splice_from`](crate::Stream::splice_from).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn splice_from(&mut self, pipe: impl AsFd, len: usize) -> io::Result<usize> {
        either!(self, stream => stream.splice_from(pipe, len).await)
    }

    /// See [`Stream::key_update`](crate::Stream::key_update).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn key_update(&mut self, request: KeyUpdateRequest) -> io::Result<()> {
        either!(self, stream => stream.key_update(request).await)
    }

    /// See [`Stream::send_record`](crate::Stream::send_record).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn send_record<'p>(
        &mut self,
        content_type: ContentType,
        payload: impl BorrowMut<&'p [u8]>,
    ) -> io::Result<usize> {
        either!(self, stream => stream.send_record(content_type, payload).await)
    }

    /// See [`Stream::read_record`](crate::Stream::read_record).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn read_record(
        &mut self,
        out: &mut [u8],
    ) -> io::Result<Option<(ContentType, usize)>> {
        either!(self, stream => stream.read_record(out).await)
    }

    /// See [`Stream::poll_splice_to`](crate::Stream::poll_splice_to).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn poll_splice_to(
        &mut self,
        cx: &mut Context<'_>,
        pipe: impl AsFd,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_splice_to(cx, pipe, len))
    }

    /// See [`Stream::poll_splice_from`](crate::Stream::poll_splice_from).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn poll_splice_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: impl AsFd,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_splice_from(cx, pipe, len))
    }
}

impl TlsStream<TcpStream> {
    /// See [`Stream::lingering_close`](crate::Stream::lingering_close).
    ///
    /// # Errors
    ///
    /// The same.
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn lingering_close(self, limits: Linger) -> io::Result<()> {
        either!(self, stream => stream.lingering_close(limits).await)
    }

    /// See [`Stream::linger`](crate::Stream::linger).
    ///
    /// # Cancellation
    ///
    /// The same.
    pub async fn linger(&mut self, bytes: usize) {
        either!(self, stream => stream.linger(bytes).await);
    }

    pub(crate) fn below(&mut self) -> (&TcpStream, &mut engine::Connection) {
        either!(self, stream => stream.below())
    }
}

impl<IO: AsFd> AsFd for TlsStream<IO> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().0.as_fd()
    }
}

impl<IO: AsRawFd> AsRawFd for TlsStream<IO> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().0.as_raw_fd()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for TlsStream<IO> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_fill_buf(cx))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        either!(self.get_mut(), stream => Pin::new(stream).consume(n));
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
