//! Many connections in, whole messages out to a few workers: what Linux' KCM did over TCP, and could
//! not do over TLS.
//!
//! A thread per group of connections, each with an event loop of its own, is quick until the load is
//! uneven: one message that takes long delays every connection of its group, and a thread whose
//! group is busy gets no help from one whose group is not. A [`Mux`] has all connections and hands
//! each message to whichever worker is free:
//!
//! ```
//! use std::thread;
//!
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use underseal::Mux;
//! use underseal::mux::Framing;
//! use underseal_message::LengthPrefixed;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // DNS over TCP: two bytes of length, then the message; none longer than 4 KiB.
//! let mux = Mux::new(Framing::new(4096, LengthPrefixed::dns));
//! for _ in 0..2 {
//!     let mut worker = mux.worker();
//!     thread::spawn(move || {
//!         while let Some(message) = worker.recv_blocking() {
//!             let mut reply = message.bytes().to_vec();
//!             reply[4] |= 0x80; // An answer.
//!             // A connection that ended meanwhile takes none.
//!             let _ = message.reply_blocking(&reply);
//!         }
//!     });
//! }
//! // Any stream; in a service one that `TlsAcceptor::accept` made.
//! let (mut client, server) = tokio::io::duplex(4096);
//! mux.attach(server).expect("the mux is open");
//!
//! let query = [0, 12, 0xab, 0xcd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
//! client.write_all(&query).await?;
//! let mut reply = [0; 14];
//! client.read_exact(&mut reply).await?;
//! assert_eq!(reply[4], 0x81);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! A socket that has something wakes no task. Its connection goes to the end of a list, and one idle
//! worker is woken; that worker reads, opens and parses what came, and keeps the message: nothing
//! crosses from one thread to another but the fact that there is something. A worker that finishes
//! takes the next connection of the list, and nobody is woken. After one message a connection goes
//! to the end again, so that connections take turns whatever each of them sends.
//!
//! What is woken is the worker that last went idle on the thread that found out, which is awake
//! because it ran the reactor, or else the one that went idle last, whose caches are warm.
//!
//! # Where workers run
//!
//! - [`Mux::driving_worker`]: threads that share a current-thread runtime. One idle worker waits in
//!   `epoll_wait` for all of them; what it finds it takes itself, and the next idle one takes its
//!   place (leader and followers). This is the way for a service of its own.
//! - [`Mux::worker`] in a task, with [`Worker::recv`]: on any runtime, beside other tasks.
//! - [`Mux::worker`] on a thread that has no runtime, with [`Worker::recv_blocking`]: it parks, and
//!   the runtime's own threads wake it. For workers that must not run anything else.
//!
//! A worker in a task that blocks its thread, with a lock, a file or a long computation, delays all
//! that is on that thread: other workers, and on a current-thread runtime every connection, although
//! the mux takes it for one that is merely busy. On a multi-threaded runtime it blocks within
//! [`block_in_place`](tokio::task::block_in_place), which moves the other tasks to another thread;
//! [`Worker::recv_blocking`] on a thread of its own delays nobody in either case.
//!
//! # What it gains, and costs
//!
//! Measured by `cargo xtask bench mux` (two cores, 1000 connections of uneven load over TLS, requests
//! of 20 µs of CPU of which one in 250 takes 5 ms), against as many threads with a group of
//! connections each: p99 is 0.72, 0.49 and 0.57 times theirs with 2, 4 and 8 threads, and p50 1.00
//! to 1.11 times. **CPU per request is 1.02 to 1.05 times theirs**: for each message that the leader
//! takes away another thread is woken to lead. Workers in tasks of tokio's threads cost no more CPU
//! than pinned threads, but their p99 is 0.88 to 1.00 times that of pinned threads. Parked workers
//! need a thread for the sockets: with 2 threads in all there is one worker, which is worse than
//! pinned threads (1.5); from 4 on they do nearly as well as those that drive (0.62, 0.67).
//!
//! It gains little where more than one message in a hundred is long, since p99 is then that of the
//! long ones: 0.92 and 0.96 with 2 and 4 threads and one in 20 of 1 ms.

mod attached;
mod builder;
mod closed;
mod connection;
mod framing;
mod inbound;
mod leaving;
mod message;
mod outbound;
mod park;
mod schedule;
mod send_timeout;
mod shutdown;
mod state;
mod statistics;
mod stream;
mod waiters;
mod worker;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;

use connection::Connection;
use schedule::Schedule;
use send_timeout::SendTimer;
use statistics::Counters;
use stream::typed;

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
    send_timer: SendTimer,
    counters: Counters,
}

impl Shared {
    /// A connection ended; [`Schedule::told`] is to follow.
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
        self.schedule.told();
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

/// Hands the messages of many connections to a few workers; see the [module](self). A handle: clones
/// are the same mux.
///
/// # What is promised
///
/// - A message is delivered whole, and to one worker. Messages of a connection are handed out in the
///   order in which they came; under [`Ordering::PerConnection`] each when the one before it was
///   finished, so that replies leave in the order of the requests.
/// - A reply goes to the connection that its message came on, and no other gets in between.
/// - One idle worker is woken for a connection that has something; nobody, while all are busy.
/// - Connections take turns, one message each. A worker that takes long delays nobody as long as
///   another one is idle. While all are busy nothing is read, and replies that a socket did not
///   take at once wait: have as many workers as may be busy for long, and one more.
///
/// # Memory
///
/// An idle connection owns no buffer. Otherwise it has at most: the message that it is in
/// ([`Framing::new`]) and one read behind it (64 KiB); as many messages in hand as
/// [`Builder::in_flight`] says, or one; replies that wait ([`Builder::reply_limit`], and one more).
/// The length that a message claims allocates nothing. A connection whose messages nobody takes, or
/// whose peer does not read its replies, is not read any further, and TCP tells the peer. A peer that
/// takes nothing for a minute ([`Builder::send_timeout`]) is ended.
///
/// # Cancellation
///
/// Every future may be dropped at any time: a dropped [`Worker::recv`] has taken no message, a
/// dropped [`Reply::send`] has sent nothing, a dropped [`Attached::detach`] leaves the connection
/// attached. Only a dropped [`Message`] or [`Reply`] ends something: its connection.
///
/// # What happens when
///
/// | | the connection | [`Closed`] |
/// |---|---|---|
/// | the peer ends the stream between two messages | ends when all is answered and sent | `ByPeer` |
/// | it ends it inside of one; a length is bad or too long | the same; what is before is answered | `Framing` |
/// | the stream fails; TLS ends without close_notify | ends where the failure is read | `Io` |
/// | TLS fails by the peer's fault, which an alert tells it | the same, when the alert was sent | `Io` |
/// | a worker panics, or drops a message unfinished | ends at once, without close_notify | `Abandoned` |
/// | a reply is not whole messages, if that is checked | ends at once, without close_notify | `BadReply` |
/// | the parser or the stream panics | ends at once | `Panicked` |
/// | the peer takes nothing for [`Builder::send_timeout`] | ends at once, without close_notify | `SendTimeout` |
/// | [`Attached::close`] | ends when what was read is answered and sent | `ByOwner` |
/// | [`Mux::shutdown`] | the same | `Shutdown` |
/// | [`Attached::abort`], [`Mux::abort`] | ends at once, without close_notify | `Aborted` |
/// | the time of [`Mux::shutdown_within`] is over | the same | `Aborted` |
/// | the last handle and worker are dropped | ends at once | `Shutdown` |
///
/// A connection that does not end at once is closed such that its peer gets what was replied,
/// whatever it still sends: after close_notify, or the alert, and the end of the sending side what
/// comes is thrown away until the peer closes, within the default limits of
/// [`Linger`](crate::Linger). Only then it has ended. A stream that is neither a tokio `TcpStream` nor
/// this crate's TLS over one is not waited for.
///
/// No other connection notices. [`Builder::on_close`], [`Attached::closed`] and [`Mux::statistics`]
/// tell of it.
#[doc(alias = "KCM")]
#[doc(alias = "AF_KCM")]
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
            send_timer: SendTimer::default(),
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
    /// Those of [`Self::attach`]; `received` comes back, too.
    pub fn attach_with<S>(
        &self,
        stream: S,
        received: Vec<u8>,
    ) -> Result<Attached<S>, AttachError<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // The parsers are made before anything is locked: they are somebody else's code.
        let connection = Connection::new(&self.shared, Box::new(stream), received);
        let most = self.shared.limits.max_connections;
        if let Err(refusal) = self.shared.schedule.insert(&connection, most) {
            let released = connection.refused();
            let (stream, received) = released.expect("nobody else has had the connection");
            return Err(AttachError {
                stream: typed(stream),
                received,
                refusal,
            });
        }
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

    /// [`Attached::abort`] by name; says whether the mux had such a connection still.
    pub fn abort(&self, id: ConnectionId) -> bool {
        let connection = self.shared.schedule.connection(id);
        connection.is_some_and(|connection| connection.abort())
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
