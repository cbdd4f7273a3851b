use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::connection::Connection;
use super::stream::typed;
use super::{Closed, ConnectionId};

/// A connection of a [`super::Mux`], for whoever attached it. Dropping it leaves the connection
/// attached.
pub struct Attached<S> {
    connection: Arc<Connection>,
    stream: PhantomData<fn() -> S>,
}

/// A stream that was given back. It goes on with `received`, at the first byte of a message.
#[derive(Debug)]
pub struct Detached<S> {
    /// The stream.
    pub stream: S,
    /// What was read of it and not handed out, in front of what it gives next. May be a part of a
    /// message, or several. [`super::Mux::attach_with`] takes it.
    pub received: Vec<u8>,
}

impl<S: 'static> Attached<S> {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        let stream = PhantomData;
        Self { connection, stream }
    }

    /// Names the connection in messages and calls of [`super::Builder::on_close`].
    pub fn id(&self) -> ConnectionId {
        self.connection.id()
    }

    /// Waits for the end of the connection, and says why it ended.
    ///
    /// # Cancellation
    ///
    /// Nothing happens when the future is dropped.
    pub async fn closed(&self) -> Closed {
        self.connection.closed().await
    }

    /// Ends the connection once the messages that were read are finished; nothing more is read.
    /// A peer that does not read its replies keeps it for the time of
    /// [`super::Builder::send_timeout`]: [`Self::abort`] does not wait.
    pub fn close(&self) {
        self.connection.end(Closed::ByOwner);
    }

    /// Ends the connection at once, with [`Closed::Aborted`], also one that is closing: its place
    /// is free when this returns. Replies that wait are lost, those of messages in hand fail, and
    /// no close_notify is sent, so that the peer does not take what it has for all.
    pub fn abort(&self) {
        self.connection.abort();
    }

    /// Gives the stream back at the boundary of a message: nothing more is handed out, and when the
    /// messages in hand are finished, and their replies sent, the stream is free.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the connection ended before, or its stream failed.
    ///
    /// # Cancellation
    ///
    /// When the future is dropped the connection stays attached, and goes on.
    #[doc(alias = "SIOCKCMUNATTACH")]
    pub async fn detach(self) -> Result<Detached<S>, Closed> {
        let detaching = Detaching(&self.connection);
        let (stream, received) = detaching.0.detach().await?;
        let stream = typed(stream);
        Ok(Detached { stream, received })
    }
}

/// A connection on its way out of the mux.
struct Detaching<'a>(&'a Arc<Connection>);

impl Drop for Detaching<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

impl<S> fmt::Debug for Attached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("connection", &self.connection.id())
            .finish_non_exhaustive()
    }
}
