//! The end of a tokio stream: what was sent last reaches the peer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::Stream;
use crate::engine::Connection;
use crate::lingering::{Linger, Lingering};

impl<Session: Unpin> Stream<TcpStream, Session> {
    /// Sends close_notify and the end of the stream below, then reads and throws away until the
    /// peer closes too, within `limits`: what was sent last would be lost if the connection were
    /// reset because the peer had sent more than was read. [`linger`](Self::linger) does the second
    /// half alone.
    ///
    /// The time of the limits begins when everything is sent; bound that of sending.
    ///
    /// # Errors
    ///
    /// Of the stream below.
    ///
    /// # Cancellation
    ///
    /// A dropped future drops the stream, as it is.
    pub async fn lingering_close(mut self, limits: Linger) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await?;
        let mut lingering = Lingering::new(limits);
        poll_fn(|cx| lingering.poll(&self.io, Some(&mut self.connection), cx)).await;
        Ok(())
    }

    /// Reads and throws away what comes until the peer closes, the connection fails, or `bytes` of
    /// it came: the second half of a [`lingering_close`](Self::lingering_close), after `shutdown`
    /// has announced the end of the sending side. Then drop the stream.
    ///
    /// A peer may keep its side open for ever: bound the time. [`Linger`] says more.
    ///
    /// # Cancellation
    ///
    /// What was read is gone; the rest is not lost.
    pub async fn linger(&mut self, bytes: usize) {
        // Boxed as in `crate::linger`.
        let mut lingering = Box::new(Lingering::without_end(bytes));
        poll_fn(|cx| lingering.poll(&self.io, Some(&mut self.connection), cx)).await;
    }

    /// What a lingering close works on.
    pub(crate) fn below(&mut self) -> (&TcpStream, &mut Connection) {
        (&self.io, &mut self.connection)
    }
}
