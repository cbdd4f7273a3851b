use std::fmt;
use std::io;
use std::sync::Arc;

use underseal_message::ParseError;

use crate::Error;

/// Why a connection of a [`super::Mux`] ended, by the party that ended it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The peer ended its side between two messages. All of them were finished, and their replies
    /// sent.
    #[error("the peer ended the stream")]
    ByPeer,
    /// [`super::Attached::close`] was called. The messages in hand were finished, and their replies
    /// sent.
    #[error("closed by its owner")]
    ByOwner,
    /// [`super::Attached::abort`] or [`super::Mux::abort`] was called, or the time of
    /// [`super::Mux::shutdown_within`] was over. What was not sent is lost, and what a worker has in
    /// hand gets no reply.
    #[error("aborted by its owner")]
    Aborted,
    /// The peer took nothing of what waited for it for the time of
    /// [`super::Builder::send_timeout`]. What was not sent is lost.
    #[error("the peer did not read what it was sent")]
    SendTimeout,
    /// The mux was shut down, or nobody is left who has it or a worker of it.
    #[error("the mux was shut down")]
    Shutdown,
    /// What the peer sent cannot be cut into messages, or ended inside of one. The messages before
    /// it were finished, and their replies sent.
    #[error("the peer's stream: {0}")]
    Framing(#[source] ParseError),
    /// A worker's reply was not whole messages; [`super::Builder::check_replies`].
    #[error("a reply: {0}")]
    BadReply(#[source] ParseError),
    /// A worker dropped a message, or its reply handle, that was not finished; a panic does so.
    /// What the peer was to be told is not known, so it is told that the connection broke.
    #[error("a message was dropped before it was finished")]
    Abandoned,
    /// A parser or the stream panicked.
    #[error("the parser or the stream panicked")]
    Panicked,
    /// The stream failed. TLS that ends without close_notify is such a failure.
    #[error("the stream failed: {0}")]
    Io(#[source] Arc<io::Error>),
}

impl Closed {
    /// Whether the stream told its peer why it failed.
    pub(super) fn has_alert(&self) -> bool {
        match self {
            Self::Io(error) => Error::of(error).is_some_and(|error| error.alert().is_some()),
            _ => false,
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Why a reply was not sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The connection is over: what is sent to it goes nowhere.
    #[error("the connection is closed: {0}")]
    Closed(#[source] Closed),
    /// The peer does not read, and as many bytes wait for it as may. Nothing of the reply was
    /// taken.
    #[error("the peer does not read its replies")]
    Full,
}

impl From<ReplyError> for io::Error {
    fn from(error: ReplyError) -> Self {
        let kind = match error {
            ReplyError::Closed(_) => io::ErrorKind::BrokenPipe,
            ReplyError::Full => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}

/// Why a stream was not attached; it comes back.
pub struct AttachError<S> {
    /// The stream.
    pub stream: S,
    /// Its first bytes, as [`super::Mux::attach_with`] was given them.
    pub received: Vec<u8>,
    /// Why.
    pub refusal: Refusal,
}

/// Why a mux takes no further stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It has as many connections as it may have; [`super::Builder::max_connections`].
    #[error("the mux has as many connections as it may have")]
    TooManyConnections,
    /// It was shut down.
    #[error("the mux is shut down")]
    Shutdown,
}

impl<S> fmt::Debug for AttachError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachError")
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Display for AttachError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl<S> std::error::Error for AttachError<S> {}
