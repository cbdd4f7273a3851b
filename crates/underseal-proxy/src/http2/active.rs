//! Which streams of a connection are open: as long as one is, it is busy.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use underseal_server::deadline::{Deadline, Phase, Stop};

/// The open streams of a connection.
#[derive(Debug, Default)]
pub(crate) struct Active {
    count: Cell<usize>,
    /// The connection's task, which is to learn of the end of a stream.
    task: RefCell<Option<Waker>>,
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Open(Rc<Active>);

impl Active {
    /// Counts another stream. The connection's task has to look again, if it is not the one that opens it.
    pub(crate) fn open(self: &Rc<Self>) -> Open {
        self.count.set(self.count.get() + 1);
        Open(Rc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Has the connection's task look again.
    pub(crate) fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.wake();
    }
}

/// The deadline of a connection of streams. The streams have deadlines of their own: this one is for a
/// connection without any.
pub(crate) struct Presence {
    deadline: Deadline,
    active: Rc<Active>,
    found: Found,
}

/// What was found last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Busy,
    Idle,
    /// Streams do not count any more.
    Ending,
}

impl Presence {
    pub(crate) fn new(deadline: Deadline, active: Rc<Active>) -> Self {
        Self {
            deadline,
            active,
            found: Found::Nothing,
        }
    }

    /// To be called in each poll of the connection: says whether to stop, which may be so after
    /// `patience` without a stream. In [`Phase::Idle`], a shutdown ends that time.
    pub(crate) fn check(
        &mut self,
        cx: &Context<'_>,
        phase: Phase,
        patience: Duration,
    ) -> Option<Stop> {
        let mut task = self.active.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        let found = match self.active.count() {
            0 => Found::Idle,
            _ => Found::Busy,
        };
        if self.found != Found::Ending && self.found != found {
            self.found = found;
            match found {
                Found::Idle => self.deadline.enter(phase, patience),
                _ => self.deadline.enter(Phase::Busy, Duration::MAX),
            }
        }
        self.deadline.check(cx)
    }

    /// The deadline, once there are no streams any more.
    pub(crate) fn into_deadline(self) -> Deadline {
        self.deadline
    }

    /// Begins to wait anew.
    pub(crate) fn restart(&mut self) {
        self.found = Found::Nothing;
    }

    /// Sets the last deadline, whatever becomes of the streams.
    pub(crate) fn end_within(&mut self, patience: Duration) {
        self.found = Found::Ending;
        self.deadline.enter(Phase::Busy, patience);
    }
}
