use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::runtime::Runtime;
use tokio::task::coop;

use super::schedule::Slot;
use super::{Message, Shared, park};

/// Connections that one poll of a worker looks at; between them the task lets others run.
const TURNS: usize = 32;

/// Messages after which a thread that drives a runtime looks for events, even if it has enough to
/// do without: what it finds comes behind what waits already.
const UNTIL_EVENTS: u32 = 61;

/// Takes messages from the connections of a [`super::Mux`]. Each worker has one place among the idle.
///
/// A worker belongs to a task, which calls [`recv`](Self::recv), or to a thread, which calls
/// [`recv_blocking`](Self::recv_blocking).
pub struct Worker {
    shared: Arc<Shared>,
    slot: Slot,
    driver: Option<Arc<Runtime>>,
    since_events: u32,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, driver: Option<Arc<Runtime>>) -> Self {
        shared.schedule.count(0, 1);
        Self {
            shared,
            slot: Slot::new(),
            driver,
            since_events: 0,
        }
    }

    /// The next message; `None` once there will be none any more: the mux was shut down, or nobody
    /// has it any more, and its last connection has ended.
    ///
    /// # Cancellation
    ///
    /// A dropped future has taken no message, and another worker is woken if this one was.
    pub async fn recv(&mut self) -> Option<Message> {
        let mut idle = Idle {
            worker: self,
            is_noted: false,
        };
        poll_fn(|cx| idle.poll(cx)).await
    }

    /// The next message, if one is there; does not wait.
    pub fn try_recv(&mut self) -> Option<Message> {
        while let Some(connection) = self.shared.schedule.next() {
            if let Some(bytes) = connection.take_turn() {
                return Some(Message::new(connection, bytes, self.driver.clone()));
            }
        }
        None
    }

    /// [`Self::recv`] for threads. If the worker was made by [`super::Mux::driving_worker`], an idle one
    /// drives its runtime, one of them at a time; otherwise the thread parks, and it needs no
    /// runtime. It then takes part of the work off the threads of the streams' runtime: reading,
    /// opening and parsing happen here.
    ///
    /// # Panics
    ///
    /// In an asynchronous task, if the worker drives a runtime.
    pub fn recv_blocking(&mut self) -> Option<Message> {
        let driver = self.driver.clone();
        if driver.is_none() {
            self.shared.tick_if_due();
        }
        if let Some(driver) = &driver {
            self.since_events += 1;
            if self.since_events > UNTIL_EVENTS {
                self.since_events = 0;
                driver.block_on(tokio::task::yield_now());
            }
            if let Some(message) = self.try_recv() {
                return Some(message);
            }
            self.since_events = 0;
        }
        let shared = Arc::clone(&self.shared);
        block_on(&shared, driver.as_deref(), self.recv())
    }
}

/// Waits where a worker waits: driving its runtime, or parked.
pub(super) fn block_on<F: Future>(
    shared: &Shared,
    driver: Option<&Runtime>,
    future: F,
) -> F::Output {
    match (driver, shared.limits.send_timeout) {
        (Some(driver), _) => driver.block_on(future),
        (None, Some(time)) => park::block_on_and(future, time, || shared.tick_if_due()),
        (None, None) => park::block_on(future),
    }
}

/// A worker that waits for a message.
struct Idle<'a> {
    worker: &'a mut Worker,
    /// Whether it may be among the idle.
    is_noted: bool,
}

impl Idle<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        for _ in 0..TURNS {
            // Many messages may come out of one read: the stream does not count them.
            let budget = ready!(coop::poll_proceed(cx));
            self.is_noted = true;
            let next = self.worker.shared.schedule.poll_next(self.worker.slot, cx);
            let next = ready!(next);
            self.is_noted = false;
            budget.made_progress();
            let Some(connection) = next else {
                return Poll::Ready(None);
            };
            if let Some(bytes) = connection.take_turn() {
                let driver = self.worker.driver.clone();
                return Poll::Ready(Some(Message::new(connection, bytes, driver)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        if self.is_noted {
            self.worker.shared.schedule.leave(self.worker.slot);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.left(0, -1);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("slot", &self.slot)
            .field("drives", &self.driver.is_some())
            .finish_non_exhaustive()
    }
}
