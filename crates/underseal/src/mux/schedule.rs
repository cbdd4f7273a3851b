//! Which connection is next, and which worker is woken for it.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::connection::Connection;
use super::waiters::Waiters;
use super::{ConnectionId, Refusal, Statistics};

/// One worker, as the schedule knows it; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u64);

impl Slot {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

thread_local! {
    /// The worker that went idle last on this thread.
    static HERE: Cell<Slot> = const { Cell::new(Slot(0)) };
}

#[derive(Default)]
pub(super) struct Schedule {
    lists: Mutex<Lists>,
    /// Who waits for the last connection to end.
    at_the_end: Waiters,
    woken: AtomicU64,
}

#[derive(Default)]
struct Lists {
    /// Connections that something may be had from, in the order in which they became so.
    ready: VecDeque<Arc<Connection>>,
    /// Workers without a message, the last one went idle last.
    idle: Vec<(Slot, Waker)>,
    connections: HashMap<ConnectionId, Arc<Connection>>,
    /// Connections that are none of these any more, of which somebody is being told.
    ending: usize,
    muxes: usize,
    workers: usize,
    is_shut_down: bool,
}

impl Lists {
    /// Whether no message will come any more.
    fn is_over(&self) -> bool {
        self.is_closing() && self.connections.is_empty() && self.ending == 0
    }

    /// Whether no connection will come any more.
    fn is_closing(&self) -> bool {
        self.is_shut_down || self.muxes == 0
    }

    /// Whether nobody is left to serve the connections.
    fn is_orphaned(&self) -> bool {
        self.is_closing() && self.workers == 0
    }

    /// Takes the worker to wake: the one that last went idle on this thread, which is awake and has
    /// run the reactor, or else the one that went idle last.
    fn take_idle(&mut self) -> Option<Waker> {
        let here = HERE.try_with(Cell::get).unwrap_or(Slot(0));
        let at = self.idle.iter().rposition(|(slot, _)| *slot == here);
        let at = at.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(at).1)
    }

    /// Takes the workers that wait for a message if none will come any more.
    fn take_idle_if_over(&mut self) -> Option<Vec<(Slot, Waker)>> {
        self.is_over().then(|| mem::take(&mut self.idle))
    }
}

impl Schedule {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        // Nothing panics while the lists are locked.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.woken.fetch_add(1, Relaxed);
            waker.wake();
        }
    }

    /// Wakes everybody, if it is over.
    fn end(&self, idle: Option<Vec<(Slot, Waker)>>) {
        if let Some(idle) = idle {
            idle.into_iter().for_each(|(_, waker)| waker.wake());
            self.at_the_end.wake();
        }
    }

    /// Puts a connection behind those that wait, and wakes one idle worker, if there is one.
    pub(super) fn push(&self, connection: Arc<Connection>) {
        let mut lists = self.lists();
        // Nobody would take it out again, and it keeps what is shared.
        if lists.is_orphaned() {
            return;
        }
        lists.ready.push_back(connection);
        let idle = lists.take_idle();
        drop(lists);
        self.wake(idle);
    }

    /// The next connection, if there is one now.
    pub(super) fn next(&self) -> Option<Arc<Connection>> {
        self.lists().ready.pop_front()
    }

    /// The next connection; `None` once there will be none any more. Pending, the worker is idle.
    pub(super) fn poll_next(
        &self,
        slot: Slot,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Arc<Connection>>> {
        let mut lists = self.lists();
        let at = lists.idle.iter().position(|(other, _)| *other == slot);
        if let Some(connection) = lists.ready.pop_front() {
            at.map(|at| lists.idle.remove(at));
            return Poll::Ready(Some(connection));
        }
        if lists.is_over() {
            return Poll::Ready(None);
        }
        match at {
            Some(at) => lists.idle[at].1.clone_from(cx.waker()),
            None => lists.idle.push((slot, cx.waker().clone())),
        }
        drop(lists);
        let _ = HERE.try_with(|here| here.set(slot));
        Poll::Pending
    }

    /// Ends the wait of a worker that is not interested any more. If it was woken meanwhile,
    /// another one is.
    pub(super) fn leave(&self, slot: Slot) {
        let mut lists = self.lists();
        let at = lists.idle.iter().position(|(other, _)| *other == slot);
        let other = match at {
            Some(at) => {
                lists.idle.remove(at);
                None
            }
            None if lists.ready.is_empty() => None,
            None => lists.take_idle(),
        };
        drop(lists);
        self.wake(other);
    }

    /// Notes a connection, unless there are `most` already.
    pub(super) fn insert(&self, connection: &Arc<Connection>, most: usize) -> Result<(), Refusal> {
        let mut lists = self.lists();
        if lists.is_shut_down {
            return Err(Refusal::Shutdown);
        }
        if lists.connections.len() >= most {
            return Err(Refusal::TooManyConnections);
        }
        let inserted = Arc::clone(connection);
        lists.connections.insert(connection.id(), inserted);
        Ok(())
    }

    /// Forgets a connection that ended or was detached: its place is free. It is not over before
    /// [`Self::told`].
    pub(super) fn remove(&self, id: ConnectionId) {
        let mut lists = self.lists();
        let removed = lists.connections.remove(&id);
        lists.ending += 1;
        drop(lists);
        drop(removed);
    }

    /// Everybody was told of a connection that was removed.
    pub(super) fn told(&self) {
        let mut lists = self.lists();
        lists.ending -= 1;
        let idle = lists.take_idle_if_over();
        drop(lists);
        self.end(idle);
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.lists().connections.get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.lists().connections.values().cloned().collect()
    }

    /// Changes how many muxes and workers there are, and says whether nobody is left to serve the
    /// connections. Then none waits any more, either.
    pub(super) fn count(&self, muxes: isize, workers: isize) -> bool {
        let mut lists = self.lists();
        lists.muxes = lists.muxes.saturating_add_signed(muxes);
        lists.workers = lists.workers.saturating_add_signed(workers);
        let idle = lists.take_idle_if_over();
        let is_orphaned = lists.is_orphaned();
        let ready = match is_orphaned {
            true => mem::take(&mut lists.ready),
            false => VecDeque::new(),
        };
        drop(lists);
        drop(ready);
        self.end(idle);
        is_orphaned
    }

    /// Takes no further connection, and says whether nobody is left to serve those there are.
    pub(super) fn shut_down(&self) -> bool {
        self.lists().is_shut_down = true;
        self.count(0, 0)
    }

    /// Waits until no connection is left.
    pub(super) async fn over(&self) {
        let mut waiter = self.at_the_end.waiter();
        poll_fn(|cx| {
            waiter.note(cx);
            match self.lists().is_over() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    pub(super) fn add_to(&self, statistics: &mut Statistics) {
        statistics.waiting = self.lists().ready.len() as u64;
        statistics.woken = self.woken.load(Relaxed);
    }
}
