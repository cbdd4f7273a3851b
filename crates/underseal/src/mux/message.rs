use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;

use super::connection::Connection;
use super::worker::block_on;
use super::{ConnectionId, ReplyError};

/// A whole message of one connection, in the hands of a worker.
///
/// It is finished by [`reply`](Self::reply) or by [`Reply::finish`]. **Dropping it unfinished ends
/// its connection** ([`Closed::Abandoned`](super::Closed::Abandoned)): so does a worker that panics.
/// Other connections go on.
#[must_use = "a message that is dropped unfinished ends its connection"]
pub struct Message {
    bytes: Vec<u8>,
    reply: Reply,
}

impl Message {
    pub(super) fn new(
        connection: Arc<Connection>,
        bytes: Vec<u8>,
        driver: Option<Arc<Runtime>>,
    ) -> Self {
        let reply = Reply {
            connection: Some(connection),
            driver,
        };
        Self { bytes, reply }
    }

    /// The message, as it was framed: with its length field, delimiter or head.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The connection that it came on.
    pub fn connection(&self) -> ConnectionId {
        self.reply.connection()
    }

    /// The message, and what replies to it: for any number of replies, none included.
    pub fn into_parts(self) -> (Vec<u8>, Reply) {
        (self.bytes, self.reply)
    }

    /// Sends the one reply, and finishes the message; as [`Reply::send`] then [`Reply::finish`].
    ///
    /// # Errors
    ///
    /// [`ReplyError::Closed`].
    ///
    /// # Cancellation
    ///
    /// A future that is dropped while it waits has sent nothing, and dropped the message.
    pub async fn reply(mut self, reply: &[u8]) -> Result<(), ReplyError> {
        self.reply.send(reply).await?;
        self.reply.finish();
        Ok(())
    }

    /// [`Self::reply`] for threads, see [`Reply::send_blocking`].
    ///
    /// # Errors
    ///
    /// [`ReplyError::Closed`].
    pub fn reply_blocking(mut self, reply: &[u8]) -> Result<(), ReplyError> {
        self.reply.send_blocking(reply)?;
        self.reply.finish();
        Ok(())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("connection", &self.connection())
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// Replies to one message, on the connection that it came on.
///
/// Each call sends whole messages; they never interleave with those of other workers. A reply goes
/// straight to the stream; what the stream does not take waits, up to
/// [`reply_limit`](super::Builder::reply_limit). A peer that does not read gets no further message
/// handed out long before, so that only who sends many replies to one message meets the limit.
/// Then [`send`](Self::send) waits and the worker with it; a service whose workers may not wait for
/// a peer uses [`try_send`](Self::try_send), or a timeout, and drops the handle of such a peer.
///
/// Dropping a handle that is not finished ends the connection, see [`Message`].
#[must_use = "a reply handle that is dropped unfinished ends its connection"]
pub struct Reply {
    /// None once finished.
    connection: Option<Arc<Connection>>,
    driver: Option<Arc<Runtime>>,
}

impl Reply {
    fn target(&self) -> &Arc<Connection> {
        self.connection
            .as_ref()
            .expect("only `finish` takes it, and the handle with it")
    }

    /// The connection that it replies on.
    pub fn connection(&self) -> ConnectionId {
        self.target().id()
    }

    /// Sends a reply; one of no bytes is none. Once this returned it is sent, or waits in the mux.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Closed`], for this and every further reply.
    ///
    /// # Cancellation
    ///
    /// A dropped future has sent nothing.
    pub async fn send(&mut self, reply: &[u8]) -> Result<(), ReplyError> {
        self.target().send(reply).await
    }

    /// Sends a reply without waiting.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Full`] if the peer does not read its replies; [`ReplyError::Closed`].
    pub fn try_send(&mut self, reply: &[u8]) -> Result<(), ReplyError> {
        // To a task that did much tokio says that its streams are not ready, and the peer would be
        // blamed for it.
        let target = self.target();
        let sent = unconstrained(poll_fn(|_| Poll::Ready(target.try_send(reply))));
        match pin!(sent).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ReplyError::Full),
        }
    }

    /// [`Self::send`] for threads. A thread that drives a runtime goes on to do so while it waits.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Closed`].
    ///
    /// # Panics
    ///
    /// In an asynchronous task, if the worker drives a runtime.
    pub fn send_blocking(&mut self, reply: &[u8]) -> Result<(), ReplyError> {
        // Hardly ever does it wait, and then it costs no runtime.
        match self.try_send(reply) {
            Err(ReplyError::Full) => {}
            result => return result,
        }
        let driver = self.driver.clone();
        let connection = Arc::clone(self.target());
        block_on(connection.shared(), driver.as_deref(), self.send(reply))
    }

    /// Says that the message was dealt with: under
    /// [`Ordering::PerConnection`](super::Ordering::PerConnection) the next one of the connection
    /// may be handed out.
    pub fn finish(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.finish();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.abandon();
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("connection", &self.connection())
            .finish_non_exhaustive()
    }
}
