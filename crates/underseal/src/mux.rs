//! Many connections in, whole messages out to a few workers.

mod attached;
mod builder;
mod closed;
mod connection;
mod framing;
mod inbound;
mod message;
mod outbound;
mod park;
mod schedule;
mod state;
mod statistics;
mod stream;
mod waiters;
mod worker;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;

use connection::Connection;
use schedule::Schedule;
use statistics::Counters;

pub use attached::{Attached, Detached};
pub use builder::{Builder, Ordering};
pub use closed::{AttachError, Closed, Refusal, ReplyError};
pub use framing::Framing;
pub use message::{Message, Reply};
pub use statistics::Statistics;
pub use worker::Worker;

/// Names a connection; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What all handles of a mux share.
struct Shared {
    limits: Builder,
    schedule: Schedule,
    counters: Counters,
}

impl Shared {
    /// A connection ended.
    fn closed(&self, id: ConnectionId, why: &Closed) {
        self.counters.closed(why);
        self.schedule.remove(id);
        if let Some(on_close) = &self.limits.on_close {
            let _ = catch_unwind(AssertUnwindSafe(|| on_close(id, why)));
        }
    }

    fn detached(&self, id: ConnectionId) {
        self.counters.detached();
        self.schedule.remove(id);
    }

    /// A handle or a worker is gone. When nobody is left to serve the connections they end: each
    /// of them keeps what is shared, and would for ever.
    fn left(&self, muxes: isize, workers: isize) {
        if self.schedule.count(muxes, workers) {
            self.close_all();
        }
    }

    fn close_all(&self) {
        for connection in self.schedule.all() {
            connection.close(Closed::Shutdown);
        }
    }
}

/// See the module.
pub struct Mux {
    shared: Arc<Shared>,
}

impl Mux {
    /// A mux with the defaults of [`Builder`].
    pub fn new(framing: Framing) -> Self {
        Self::builder(framing).build()
    }

    /// A mux that cuts streams into messages as `framing` says, to be set up further.
    pub fn builder(framing: Framing) -> Builder {
        Builder::new(framing)
    }

    fn with(limits: Builder) -> Self {
        let shared = Shared {
            limits,
            schedule: Schedule::default(),
            counters: Counters::default(),
        };
        shared.schedule.count(1, 0);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Serves `stream` from now on.
    ///
    /// # Errors
    ///
    /// [`AttachError`] gives the stream back if there are too many, or the mux was shut down.
    pub fn attach<S>(&self, stream: S) -> Result<Attached<S>, AttachError<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.attach_with(stream, Vec::new())
    }

    /// Serves `stream`, whose first bytes are `received`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::attach`].
    pub fn attach_with<S>(
        &self,
        stream: S,
        received: Vec<u8>,
    ) -> Result<Attached<S>, AttachError<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let most = self.shared.limits.max_connections;
        let admission = match self.shared.schedule.admit(most) {
            Ok(admission) => admission,
            Err(refusal) => return Err(AttachError { stream, refusal }),
        };
        let connection = Connection::new(&self.shared, Box::new(stream), received);
        admission.insert(&connection);
        self.shared.counters.attached();
        connection.look_after();
        Ok(Attached::new(connection))
    }

    /// A worker for a task, or for a thread that parks when it is idle.
    pub fn worker(&self) -> Worker {
        Worker::new(Arc::clone(&self.shared), None)
    }

    /// A worker for a thread that drives `runtime` when it is idle and no other thread does: a
    /// current-thread runtime, on which the streams are. Its tasks run on these threads, too.
    pub fn driving_worker(&self, runtime: &Arc<Runtime>) -> Worker {
        Worker::new(Arc::clone(&self.shared), Some(Arc::clone(runtime)))
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.shared.counters.read();
        self.shared.schedule.add_to(&mut statistics);
        statistics
    }

    /// Takes no further stream and reads nothing more, and waits until the messages that were read
    /// are finished, their replies sent, and every connection ended. Workers then get `None`.
    ///
    /// # Cancellation
    ///
    /// What was begun goes on without the future. A peer that does not read its replies keeps it
    /// waiting: give it a time limit. When the last handle and worker are dropped what is left ends
    /// at once.
    pub async fn shutdown(&self) {
        if self.shared.schedule.shut_down() {
            self.shared.close_all();
        }
        for connection in self.shared.schedule.all() {
            connection.end(Closed::Shutdown);
        }
        poll_fn(|cx| self.shared.schedule.poll_over(cx)).await;
    }
}

impl Clone for Mux {
    fn clone(&self) -> Self {
        self.shared.schedule.count(1, 0);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.shared.left(-1, 0);
    }
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("limits", &self.shared.limits)
            .field("statistics", &self.statistics())
            .finish()
    }
}
