use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Closed, ConnectionId, Framing, Mux};

/// What is kept in order on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ordering {
    /// The next message of a connection is handed out when the one before it was finished: one
    /// worker at a time has one, and replies leave in the order of the requests.
    #[default]
    PerConnection,
    /// Messages of a connection are handed out as they come, to several workers at a time, and
    /// replies leave as they come: for protocols whose replies say what they answer.
    None,
}

/// Called with each connection that ended, and why.
pub(super) type OnClose = Arc<dyn Fn(ConnectionId, &Closed) + Send + Sync>;

/// Shortest time limit.
const SHORTEST: Duration = Duration::from_millis(1);

/// Sets up a [`Mux`].
#[derive(Clone)]
pub struct Builder {
    pub(super) framing: Framing,
    pub(super) replies: Option<Framing>,
    pub(super) ordering: Ordering,
    pub(super) in_flight: usize,
    pub(super) reply_limit: usize,
    pub(super) max_connections: usize,
    pub(super) send_timeout: Option<Duration>,
    pub(super) on_close: Option<OnClose>,
}

impl Builder {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            replies: None,
            ordering: Ordering::default(),
            in_flight: 16,
            reply_limit: 256 * 1024,
            max_connections: 65_536,
            send_timeout: Some(Duration::from_secs(60)),
            on_close: None,
        }
    }

    /// What is kept in order; [`Ordering::PerConnection`] by default.
    #[must_use]
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    /// Under [`Ordering::None`], messages of one connection that workers may have in hand at a
    /// time, at least 1; 16 by default. Behind it the connection is not read.
    #[must_use]
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.in_flight = messages.max(1);
        self
    }

    /// Bytes of replies that may wait for the peer of one connection, at least 1; 256 KiB by
    /// default. From there on the connection gets no message handed out, and a reply waits or
    /// fails, see [`super::Reply`]. A reply goes in whole, so that one more may be there.
    #[must_use]
    pub fn reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes.max(1);
        self
    }

    /// Checks that each reply is exactly one whole message, or several. One that is not is not sent
    /// and ends its connection with [`Closed::BadReply`]: what the peer would read after it is
    /// anybody's guess. A reply that ends with the stream ([`underseal_message::Boundary::Rest`])
    /// is not whole. Off by default.
    #[must_use]
    pub fn check_replies(mut self, framing: Framing) -> Self {
        self.replies = Some(framing);
        self
    }

    /// Connections that may be attached at a time; 65 536 by default.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Time for which a peer may take nothing of what waits for it, at least a millisecond; a minute
    /// by default, and `None` is no limit. Then its connection ends with [`Closed::SendTimeout`], at the latest when twice
    /// that time has passed, and its place is free. A peer that takes anything at all, however
    /// little, may go on: over TCP as long as it acknowledges bytes, and on other streams as long as
    /// the stream takes some.
    ///
    /// The time is kept by one descriptor and one task for all connections, on the tokio runtime
    /// that a stream was attached in or a worker runs in, whose I/O must be enabled; or else by
    /// threads in [`super::Worker::recv_blocking`] and [`super::Reply::send_blocking`]. Where a
    /// worker has to look at the connection, and all are busy, it takes longer.
    #[must_use]
    #[doc(alias = "write_timeout")]
    pub fn send_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.send_timeout = time.into().map(|time| time.max(SHORTEST));
        self
    }

    /// Has `on_close` called with each connection that ended, by the thread that ended it, and with
    /// no lock held. Its place is free then, and the mux has not ended before the last call has
    /// returned. It should not block, and must not wait for the end of the mux. If it panics,
    /// nothing else happens.
    #[must_use]
    pub fn on_close(
        mut self,
        on_close: impl Fn(ConnectionId, &Closed) + Send + Sync + 'static,
    ) -> Self {
        self.on_close = Some(Arc::new(on_close));
        self
    }

    /// The mux.
    pub fn build(self) -> Mux {
        Mux::with(self)
    }

    /// Messages of one connection that may be in hand at a time.
    pub(super) fn most_in_flight(&self) -> usize {
        match self.ordering {
            Ordering::PerConnection => 1,
            Ordering::None => self.in_flight,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("framing", &self.framing)
            .field("replies", &self.replies)
            .field("ordering", &self.ordering)
            .field("in_flight", &self.in_flight)
            .field("reply_limit", &self.reply_limit)
            .field("max_connections", &self.max_connections)
            .field("send_timeout", &self.send_timeout)
            .finish_non_exhaustive()
    }
}
