//! What the engine needs of a byte stream, blocking or not.

use std::io::{self, Read, Write};

/// A byte stream below the records. `WouldBlock` means: come back when it is ready.
pub(crate) trait Transport {
    /// Receives some bytes; zero is the end of the stream.
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Sends some of `buf`.
    fn send(&mut self, buf: &[u8]) -> io::Result<usize>;
}

/// A `std::io` stream. Interrupted calls are repeated.
pub(crate) struct Std<'a, S>(pub(crate) &'a mut S);

impl<S: Read + Write> Transport for Std<'_, S> {
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.read(buf))
    }

    fn send(&mut self, buf: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.write(buf))
    }
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A tokio stream, for the length of one poll.
#[cfg(feature = "tokio")]
pub(crate) struct Polled<'a, 'cx, IO> {
    pub(crate) io: &'a mut IO,
    pub(crate) cx: &'a mut std::task::Context<'cx>,
}

#[cfg(feature = "tokio")]
impl<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Transport for Polled<'_, '_, IO> {
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = tokio::io::ReadBuf::new(buf);
        match std::pin::Pin::new(&mut *self.io).poll_read(self.cx, &mut buf) {
            std::task::Poll::Ready(result) => result.map(|()| buf.filled().len()),
            std::task::Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, buf: &[u8]) -> io::Result<usize> {
        match std::pin::Pin::new(&mut *self.io).poll_write(self.cx, buf) {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The other direction of [`Polled`]: a result of the engine as a poll.
#[cfg(feature = "tokio")]
pub(crate) fn into_poll<T>(result: io::Result<T>) -> std::task::Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::task::Poll::Pending,
        result => std::task::Poll::Ready(result),
    }
}
