//! Whether a connection has more to send than its other end takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What the streams of a connection know of its socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_full: Cell<bool>,
    /// Those who wait until it is not.
    waiting: RefCell<Vec<Waker>>,
}

impl Backlog {
    /// Whether the socket took less than there was, the last time.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.get()
    }

    pub(crate) fn set(&self, is_full: bool) {
        if self.0.is_full.replace(is_full) && !is_full {
            self.0.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until the socket has taken all that there was.
    pub(crate) fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        let mut waiting = self.0.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    #[cfg(test)]
    pub(crate) fn of_test(is_full: bool) -> Self {
        let backlog = Self::default();
        backlog.set(is_full);
        backlog
    }
}
