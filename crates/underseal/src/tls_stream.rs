use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{CommonState, client, server};

/// A TLS connection of either side, where one type has to hold both.
#[derive(Debug)]
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
        match $this.get_mut() {
            Self::Client($stream) => $call,
            Self::Server($stream) => $call,
        }
    };
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for TlsStream<IO> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        either!(self, stream => Pin::new(stream).poll_fill_buf(cx))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        either!(self, stream => Pin::new(stream).consume(n));
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
