//! The time for which a peer may take nothing of what it is sent.
//!
//! Nothing happens to the stream of a connection whose peer does nothing, so somebody has to have
//! it looked at: once in a while all that wait are, by one timer for the whole mux. Each then finds
//! out by itself whether its peer has taken anything.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use underseal_sys::deadline::Deadline;
use underseal_sys::tcp::bytes_acknowledged;

use super::{ConnectionId, Shared};

/// How far a peer has come with what it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Bytes that the stream took.
    taken: u64,
    /// Those of TCP that the peer acknowledged: of what the stream took much may be in buffers.
    acknowledged: Option<u64>,
}

impl Position {
    pub(super) fn new(taken: u64, tcp: Option<&TcpStream>) -> Self {
        let acknowledged = tcp.and_then(|tcp| bytes_acknowledged(tcp).ok());
        Self {
            taken,
            acknowledged,
        }
    }
}

/// A connection's wait for its peer to take something. Without an allocation while it takes all.
#[derive(Default)]
pub(super) struct Patience(Option<Box<(Position, Instant)>>);

impl Patience {
    /// Nothing waits to be sent.
    pub(super) fn rest(&mut self) {
        self.0 = None;
    }

    /// Something does. Says whether the peer has been at `position` for longer than `time`.
    pub(super) fn is_exhausted(&mut self, position: Position, time: Duration) -> bool {
        match &mut self.0 {
            Some(since) if since.0 == position => since.1.elapsed() >= time,
            Some(since) => {
                **since = (position, Instant::now());
                false
            }
            None => {
                self.0 = Some(Box::new((position, Instant::now())));
                false
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.0.is_some()
    }
}

/// Has the connections that wait looked at.
#[derive(Default)]
pub(super) struct SendTimer {
    /// Those that began to, or were looked at, since the last tick.
    waiting: Mutex<Waiting>,
    is_any: AtomicBool,
    ticks: AtomicU64,
    /// Whether a task will call [`Shared::tick`].
    is_armed: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    connections: Vec<ConnectionId>,
    since: Option<Instant>,
}

/// The tick at which a connection is looked at next.
#[derive(Default)]
pub(super) struct Noted(AtomicU64);

impl SendTimer {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection, unless it is.
    fn note(&self, id: ConnectionId, noted: &Noted) {
        if noted.0.load(Ordering::Relaxed) > self.ticks.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting();
        noted
            .0
            .store(self.ticks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        waiting.connections.push(id);
        waiting.since.get_or_insert_with(Instant::now);
        self.is_any.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<ConnectionId> {
        let mut waiting = self.waiting();
        self.ticks.fetch_add(1, Ordering::Relaxed);
        waiting.since = None;
        self.is_any.store(false, Ordering::Relaxed);
        mem::take(&mut waiting.connections)
    }

    fn is_due(&self, time: Duration) -> bool {
        self.is_any.load(Ordering::Relaxed)
            && self
                .waiting()
                .since
                .is_some_and(|since| since.elapsed() >= time)
    }
}

impl Shared {
    /// Has a connection looked at again after a while, because it waits for its peer. `runtime` is
    /// what its stream is on.
    pub(super) fn look_again(
        self: &Arc<Self>,
        id: ConnectionId,
        noted: &Noted,
        runtime: Option<Handle>,
    ) {
        let Some(time) = self.limits.send_timeout else {
            return;
        };
        self.send_timer.note(id, noted);
        if self.send_timer.is_armed.swap(true, Ordering::SeqCst) {
            return;
        }
        let armed = Armed(Arc::downgrade(self));
        // Without a runtime threads that park keep the time.
        if let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) {
            runtime.spawn(armed.tick_after(time));
        }
    }

    /// Has all that wait for their peers looked at.
    fn tick(&self) {
        for id in self.send_timer.take() {
            if let Some(connection) = self.schedule.connection(id) {
                connection.signal();
            }
        }
    }

    /// Does so for a timer that there may not be; for threads without a runtime.
    pub(super) fn tick_if_due(&self) {
        let time = self.limits.send_timeout;
        if time.is_some_and(|time| self.send_timer.is_due(time)) {
            self.tick();
        }
    }
}

/// A timer that is armed until this is dropped, whether it ran out or its runtime is gone.
struct Armed(Weak<Shared>);

impl Armed {
    async fn tick_after(self, time: Duration) {
        if let Ok(deadline) = Deadline::after(time) {
            deadline.await;
        } else {
            return;
        }
        let shared = self.0.clone();
        // Before those that wait are taken: whoever comes later arms it again.
        drop(self);
        if let Some(shared) = shared.upgrade() {
            shared.tick();
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.send_timer.is_armed.store(false, Ordering::SeqCst);
        }
    }
}
