//! Deadlines of connections, kept by one sweep per worker instead of a timer per read.
//!
//! Each connection owns a [`Deadline`]; its worker calls [`Deadlines::sweep`] a few times a second.
//! A timeout begins with the sweep after it was set, so that setting one costs two stores and no look
//! at the clock. It thus ends late, by up to two sweeps, and never early.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Why a connection has to stop waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its deadline passed.
    TimedOut,
    /// The server is shutting down and the connection is idle.
    Closing,
    /// The server ends now.
    Ended,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::Closing => "server shutting down",
            Self::Ended => "server ended",
        })
    }
}

/// Whether a wait is between requests, where a shutdown may end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// With something under way.
    Busy,
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    No,
    Idle,
    All,
}

/// All connections of a worker.
pub struct Deadlines {
    shutdown: Cell<Shutdown>,
    list: RefCell<Vec<Rc<State>>>,
}

struct State {
    /// Place in the list, so that removal needs no search.
    index: Cell<usize>,
    due: Cell<Due>,
    phase: Cell<Phase>,
    timed_out: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// When a connection has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Never,
    /// This long after the next sweep.
    In(Duration),
    At(Instant),
}

/// The deadline of one connection; dropped with it.
pub struct Deadline {
    deadlines: Rc<Deadlines>,
    state: Rc<State>,
}

impl Deadlines {
    /// No connections yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            shutdown: Cell::new(Shutdown::No),
            list: RefCell::new(Vec::new()),
        })
    }

    /// Adds a connection, without a deadline so far.
    pub fn add(self: &Rc<Self>) -> Deadline {
        let mut list = self.list.borrow_mut();
        let state = Rc::new(State {
            index: Cell::new(list.len()),
            due: Cell::new(Due::Never),
            phase: Cell::new(Phase::Busy),
            timed_out: Cell::new(false),
            waker: RefCell::new(None),
        });
        list.push(Rc::clone(&state));
        Deadline {
            deadlines: Rc::clone(self),
            state,
        }
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Whether idle connections are being closed.
    pub fn closing(&self) -> bool {
        self.shutdown.get() != Shutdown::No
    }

    /// Wakes every connection whose deadline has passed.
    pub fn sweep(&self) {
        let now = Instant::now();
        for state in self.list.borrow().iter() {
            if state.is_over(now) && !state.timed_out.replace(true) {
                state.wake();
            }
        }
    }

    /// Ends idle connections, now and as soon as they become idle.
    pub fn close_idle(&self) {
        self.shutdown.set(Shutdown::Idle);
        for state in self.list.borrow().iter() {
            if state.phase.get() == Phase::Idle {
                state.wake();
            }
        }
    }

    /// Ends every connection, whatever it is doing.
    pub fn end_all(&self) {
        self.shutdown.set(Shutdown::All);
        for state in self.list.borrow().iter() {
            state.wake();
        }
    }
}

impl State {
    /// Whether the deadline has passed; one that was set since the last sweep begins now.
    fn is_over(&self, now: Instant) -> bool {
        let due = match self.due.get() {
            // What does not fit into the clock is never.
            Due::In(timeout) => match now.checked_add(timeout) {
                Some(at) => Due::At(at),
                None => Due::Never,
            },
            known => known,
        };
        self.due.set(due);
        matches!(due, Due::At(at) if at <= now)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Deadline {
    /// Sets the deadline `timeout` from now, and what the connection is doing until then.
    pub fn enter(&self, phase: Phase, timeout: Duration) {
        self.state.phase.set(phase);
        self.state.timed_out.set(false);
        self.extend(timeout);
    }

    fn extend(&self, timeout: Duration) {
        self.state.due.set(Due::In(timeout));
    }

    /// To be called in each poll: says whether to stop, and otherwise has the task woken when that
    /// changes.
    pub fn check(&self, cx: &Context<'_>) -> Option<Stop> {
        match self.deadlines.shutdown.get() {
            Shutdown::All => return Some(Stop::Ended),
            Shutdown::Idle if self.state.phase.get() == Phase::Idle => return Some(Stop::Closing),
            _ if self.state.timed_out.get() => return Some(Stop::TimedOut),
            _ => {}
        }
        let mut waker = self.state.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        None
    }

    /// Runs `future` until the deadline; gives the reason to stop if that came first.
    ///
    /// The future is borrowed, here and below: a connection would otherwise carry a copy of it in
    /// each layer of its own future.
    pub fn until<'a, F: Future>(
        &'a self,
        mut future: Pin<&'a mut F>,
    ) -> impl Future<Output = Result<F::Output, Stop>> + use<'a, F> {
        poll_fn(move |cx| match self.check(cx) {
            Some(stop) => Poll::Ready(Err(stop)),
            None => future.as_mut().poll(cx).map(Ok),
        })
    }

    /// Runs `future` as long as it is polled at least every `stall`; gives the reason to stop if
    /// it is not. The task is only woken when the socket moved, so a poll is progress.
    pub fn while_moving<'a, F: Future>(
        &'a self,
        stall: Duration,
        mut future: Pin<&'a mut F>,
    ) -> impl Future<Output = Result<F::Output, Stop>> + use<'a, F> {
        self.enter(Phase::Busy, stall);
        poll_fn(move |cx| match self.check(cx) {
            Some(stop) => Poll::Ready(Err(stop)),
            None => {
                self.extend(stall);
                future.as_mut().poll(cx).map(Ok)
            }
        })
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let mut list = self.deadlines.list.borrow_mut();
        let index = self.state.index.get();
        list.swap_remove(index);
        if let Some(moved) = list.get(index) {
            moved.index.set(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::task::Wake;

    use super::*;

    struct Flag(std::sync::atomic::AtomicBool);

    impl Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> (Poll<F::Output>, std::sync::Arc<Flag>) {
        let flag = std::sync::Arc::new(Flag(false.into()));
        let waker = Waker::from(std::sync::Arc::clone(&flag));
        (future.as_mut().poll(&mut Context::from_waker(&waker)), flag)
    }

    fn woken(flag: &Flag) -> bool {
        flag.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    #[test]
    fn a_passed_deadline_wakes_and_stops() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        deadline.enter(Phase::Busy, Duration::ZERO);
        let mut never = pin!(pending::<()>());
        let mut waiting = pin!(deadline.until(never.as_mut()));
        let (first, flag) = poll_once(&mut waiting);
        assert!(first.is_pending() && !woken(&flag));
        deadlines.sweep();
        assert!(woken(&flag));
        assert_eq!(poll_once(&mut waiting).0, Poll::Ready(Err(Stop::TimedOut)));
    }

    #[test]
    fn a_deadline_never_ends_early() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        let timeout = Duration::from_millis(40);
        for _ in 0..3 {
            deadlines.sweep();
            // Whatever has passed since the last sweep is not a part of the wait.
            std::thread::sleep(timeout);
            let entered = Instant::now();
            deadline.enter(Phase::Busy, timeout);
            while !deadline.state.timed_out.get() {
                deadlines.sweep();
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(entered.elapsed() >= timeout);
        }
    }

    #[test]
    fn a_wait_that_goes_on_moves_its_deadline() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        deadline.enter(Phase::Busy, Duration::MAX);
        deadlines.sweep();
        assert_eq!(deadline.state.due.get(), Due::Never);
        deadline.extend(Duration::ZERO);
        deadlines.sweep();
        assert!(deadline.state.timed_out.get());
    }

    #[test]
    fn closing_stops_the_idle_and_not_the_busy() {
        let deadlines = Deadlines::new();
        let (idle, busy) = (deadlines.add(), deadlines.add());
        idle.enter(Phase::Idle, Duration::MAX);
        busy.enter(Phase::Busy, Duration::MAX);
        let (mut never, mut ever) = (pin!(pending::<()>()), pin!(pending::<()>()));
        let mut idle = pin!(idle.until(never.as_mut()));
        let mut busy = pin!(busy.until(ever.as_mut()));
        let (_, idle_flag) = poll_once(&mut idle);
        let (_, busy_flag) = poll_once(&mut busy);
        deadlines.close_idle();
        assert!(woken(&idle_flag) && !woken(&busy_flag));
        assert_eq!(poll_once(&mut idle).0, Poll::Ready(Err(Stop::Closing)));
        let (still_busy, busy_flag) = poll_once(&mut busy);
        assert!(still_busy.is_pending());
        deadlines.end_all();
        assert!(woken(&busy_flag));
        assert_eq!(poll_once(&mut busy).0, Poll::Ready(Err(Stop::Ended)));
    }

    #[test]
    fn deadlines_are_removed_in_any_order() {
        let deadlines = Deadlines::new();
        let mut all: Vec<Deadline> = (0..5).map(|_| deadlines.add()).collect();
        drop(all.remove(1));
        drop(all.remove(3));
        drop(all.remove(0));
        assert_eq!(deadlines.list.borrow().len(), 2);
        for deadline in &all {
            deadline.enter(Phase::Busy, Duration::ZERO);
        }
        deadlines.sweep();
        assert!(all.iter().all(|deadline| deadline.state.timed_out.get()));
        drop(all);
        assert!(deadlines.is_empty());
    }
}
