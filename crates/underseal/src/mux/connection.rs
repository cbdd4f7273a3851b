//! One connection between the workers: whose turn it is, and who is told.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use super::send_timeout::Noted;
use super::state::{Released, State, Turn, Turned};
use super::stream::Stream;
use super::waiters::{Waiter, Waiters};
use super::{Closed, ConnectionId, ReplyError, Shared};

/// Where a connection is between the workers.
mod phase {
    /// Nobody has it; its stream wakes it.
    pub(super) const IDLE: u8 = 0;
    /// It waits for a worker.
    pub(super) const READY: u8 = 1;
    /// Somebody has it.
    pub(super) const RUNNING: u8 = 2;
    /// Somebody has it, and has to look again.
    pub(super) const WOKEN: u8 = 3;
}

pub(super) struct Connection {
    id: ConnectionId,
    shared: Arc<Shared>,
    phase: AtomicU8,
    /// What the stream wakes.
    waker: Waker,
    /// When it is looked at if the stream does not wake it.
    noted: Noted,
    state: Mutex<State>,
    /// Who waits for room, or for everything to be sent.
    progress: Waiters,
    /// Who waits for the end.
    end: Waiters,
}

/// What a stream's reactor keeps. It must not keep the connection, which has the stream.
struct Signal(Weak<Connection>);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(connection) = self.0.upgrade() {
            connection.signal();
        }
    }
}

impl Connection {
    pub(super) fn new(
        shared: &Arc<Shared>,
        stream: Box<dyn Stream>,
        received: Vec<u8>,
    ) -> Arc<Self> {
        let state = State::new(&shared.limits, stream, received);
        Arc::new_cyclic(|connection| Self {
            id: ConnectionId::new(),
            shared: Arc::clone(shared),
            phase: AtomicU8::new(phase::IDLE),
            waker: Waker::from(Arc::new(Signal(connection.clone()))),
            noted: Noted::default(),
            state: Mutex::new(state),
            progress: Waiters::default(),
            end: Waiters::default(),
        })
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Changes the state, with the context of the stream. A panic of the stream or the parser ends
    /// the connection; `None` then. If it ended, everybody is told.
    fn with<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cx = Context::from_waker(&self.waker);
        let changed = catch_unwind(AssertUnwindSafe(|| change(&mut state, &mut cx)));
        if changed.is_err() {
            state.close(Closed::Panicked);
        }
        let ended = state.take_ended();
        let waits_on = state.is_waiting().then(|| state.runtime());
        drop(state);
        if let Some(runtime) = waits_on {
            self.shared.look_again(self.id, &self.noted, runtime);
        }
        if let Some((stream, why)) = ended {
            self.shared.closed(self.id, &why);
            self.progress.wake();
            self.end.wake();
            // A stream's drop is somebody else's code, too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(stream)));
            self.shared.schedule.told();
        }
        changed.ok()
    }

    /// Something may have changed for the connection.
    pub(super) fn signal(self: &Arc<Self>) {
        // A worker that waits for room must not need another one for it.
        self.progress.wake();
        self.schedule();
    }

    /// Has a worker look at the connection, unless one will anyway.
    fn schedule(self: &Arc<Self>) {
        if self.leave_idle(phase::READY) {
            self.shared.schedule.push(Arc::clone(self));
        }
    }

    /// A worker's turn with a connection that waited for it.
    pub(super) fn take_turn(self: &Arc<Self>) -> Option<Vec<u8>> {
        self.phase.store(phase::RUNNING, Ordering::Release);
        self.run(Turn::Take)
    }

    /// Looks after the connection here, unless somebody will anyway.
    pub(super) fn look_after(self: &Arc<Self>) {
        if self.leave_idle(phase::RUNNING) {
            self.run(Turn::LookAfter);
        }
    }

    /// Goes from idle to `phase`, or says that somebody will look at the connection anyway.
    fn leave_idle(&self, phase: u8) -> bool {
        let leave = |current| match current {
            phase::IDLE => Some(phase),
            phase::RUNNING => Some(phase::WOKEN),
            _ => None,
        };
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.phase.fetch_update(done, failed, leave) == Ok(phase::IDLE)
    }

    fn run(self: &Arc<Self>, turn: Turn) -> Option<Vec<u8>> {
        let limits = &self.shared.limits;
        let turned = self.with(|state, cx| state.serve(limits, turn, cx));
        let turned = turned.unwrap_or(Turned::NOTHING);
        self.progress.wake();
        if turned.again || !self.become_idle() {
            self.phase.store(phase::READY, Ordering::Release);
            self.shared.schedule.push(Arc::clone(self));
        }
        let message = turned.message?;
        self.shared.counters.received(message.len());
        Some(message)
    }

    /// Ends a turn, unless the stream woke the connection meanwhile.
    fn become_idle(&self) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let idle = self
            .phase
            .compare_exchange(phase::RUNNING, phase::IDLE, done, failed);
        idle.is_ok()
    }

    /// Sends a reply, or says that there is no room for it.
    pub(super) fn try_send(self: &Arc<Self>, reply: &[u8]) -> Result<(), ReplyError> {
        let limits = &self.shared.limits;
        let sent = self.with(|state, cx| state.send(reply, limits, cx));
        match sent {
            Some(Ok(())) => {
                if !reply.is_empty() {
                    self.shared.counters.replied(reply.len());
                }
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Err(ReplyError::Closed(Closed::Panicked)),
        }
    }

    /// Sends a reply once there is room for it.
    pub(super) async fn send(self: &Arc<Self>, reply: &[u8]) -> Result<(), ReplyError> {
        let mut waiter = self.progress.waiter();
        poll_fn(|cx| self.poll_send(reply, &mut waiter, cx)).await
    }

    fn poll_send(
        self: &Arc<Self>,
        reply: &[u8],
        waiter: &mut Waiter<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReplyError>> {
        match self.try_send(reply) {
            Err(ReplyError::Full) => {}
            result => return Poll::Ready(result),
        }
        // Room that came before this was noted would be told to nobody.
        waiter.note(cx);
        match self.try_send(reply) {
            Err(ReplyError::Full) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// A message was finished.
    pub(super) fn finish(self: &Arc<Self>) {
        self.with(|state, _| state.finish());
        self.progress.wake();
        self.look_after();
    }

    /// What a connection was made of that was not attached.
    pub(super) fn refused(self: &Arc<Self>) -> Option<Released> {
        self.with(|state, _| state.release()).flatten()
    }

    /// Ends at once: what waits to be sent is lost, and no close_notify is sent.
    pub(super) fn close(self: &Arc<Self>, why: Closed) {
        self.with(|state, _| state.close(why));
    }

    /// A worker gave up a message.
    pub(super) fn abandon(self: &Arc<Self>) {
        self.with(|state, _| state.abandon());
    }

    /// [`Self::close`] by the owner; says whether the connection was still there.
    pub(super) fn abort(self: &Arc<Self>) -> bool {
        self.with(|state, _| state.abort()).unwrap_or(false)
    }

    /// Ends once everything is finished that was received.
    pub(super) fn end(self: &Arc<Self>, why: Closed) {
        self.with(|state, _| state.end_here(why));
        self.look_after();
    }

    /// Gives the stream back with the bytes that were received behind the last message handed out,
    /// once every message in hand was finished and every reply sent.
    pub(super) async fn detach(self: &Arc<Self>) -> Result<Released, Closed> {
        let mut waiter = self.progress.waiter();
        poll_fn(|cx| {
            waiter.note(cx);
            self.poll_detach()
        })
        .await
    }

    fn poll_detach(self: &Arc<Self>) -> Poll<Result<Released, Closed>> {
        let limits = &self.shared.limits;
        let detached = self.with(|state, cx| state.poll_detach(limits, cx));
        match detached {
            Some(Poll::Ready(result)) => {
                if result.is_ok() {
                    self.shared.detached(self.id);
                }
                Poll::Ready(result)
            }
            Some(Poll::Pending) => Poll::Pending,
            None => Poll::Ready(Err(Closed::Panicked)),
        }
    }

    /// Goes on with a connection that was to be detached.
    pub(super) fn resume(self: &Arc<Self>) {
        self.with(|state, _| state.resume());
        self.look_after();
    }

    /// Waits until it ended.
    pub(super) async fn closed(&self) -> Closed {
        let mut waiter = self.end.waiter();
        poll_fn(|cx| {
            waiter.note(cx);
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match state.closed() {
                Some(closed) => Poll::Ready(closed.clone()),
                None => Poll::Pending,
            }
        })
        .await
    }
}
