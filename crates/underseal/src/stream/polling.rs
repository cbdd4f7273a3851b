//! What tokio asks of a stream: to be polled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use underseal_sys::tls::Direction;

use super::Stream;

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncRead for Stream<IO, Session> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut most = buf.remaining();
        if buf.initialized().len() - buf.filled().len() < most {
            // To clear all of a large buffer at each poll costs more than to read a little into it.
            let at_hand = ready!(this.reading(cx, |connection, transport| {
                connection.wait_readable(transport, most)
            }))?;
            most = most.min(at_hand);
        }
        let out = buf.initialize_unfilled_to(most);
        let n = ready!(this.reading(cx, |connection, transport| {
            connection.read(transport, out)
        }))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncBufRead for Stream<IO, Session> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.reading(cx, |connection, transport| {
            connection.fill_buf(transport).map(drop)
        }))?;
        Poll::Ready(Ok(this.connection.rx.plaintext()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().connection.consume(n);
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, Session: Unpin> AsyncWrite for Stream<IO, Session> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        #[cfg(feature = "early-data")]
        if let Some(taken) = this.seal_early(bufs) {
            return Poll::Ready(Ok(taken));
        }
        this.writing(cx, |connection, transport| {
            connection.write_slices(transport, bufs, false)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writing(cx, |connection, transport| connection.flush(transport))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.writing(cx, |connection, transport| connection.close(transport)))?;
        let (_, mut transport) = this.polled(cx, Direction::Tx);
        match ready!(transport.poll_writable(|io, cx| io.poll_shutdown(cx))) {
            // The peer has reset the connection meanwhile: nothing is left to shut down.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}
