//! Who waits for something that one after the other is given.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

/// Those who wait, in the order in which they came. Only the first may take what there is, so that nobody is
/// overtaken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next: Cell<u64>,
    /// By number; without a waker until the first poll.
    waiting: RefCell<BTreeMap<u64, Option<Waker>>>,
}

/// A place in it, until this is dropped.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Queue {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Begins to wait, behind all others.
    pub(super) fn join(&self) -> Ticket<'_> {
        let number = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().insert(number, None);
        Ticket {
            queue: self,
            number,
        }
    }

    /// Has the first look again.
    pub(super) fn wake_first(&self) {
        if let Some(waiting) = self.waiting.borrow().values().next() {
            waiting.iter().for_each(Waker::wake_by_ref);
        }
    }
}

impl Ticket<'_> {
    /// What `take` finds, once all that came before have theirs or wait no longer.
    pub(super) fn poll<T>(&self, cx: &Context<'_>, take: impl FnOnce() -> Option<T>) -> Poll<T> {
        if self.is_first()
            && let Some(taken) = take()
        {
            return Poll::Ready(taken);
        }
        let mut waiting = self.queue.waiting.borrow_mut();
        waiting.insert(self.number, Some(cx.waker().clone()));
        Poll::Pending
    }

    fn is_first(&self) -> bool {
        let waiting = self.queue.waiting.borrow();
        waiting.keys().next() == Some(&self.number)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().remove(&self.number);
        // There may be something for who is next, too.
        self.queue.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a poll, where there is something to take.
    fn poll(ticket: &Ticket<'_>) -> Poll<()> {
        ticket.poll(&Context::from_waker(Waker::noop()), || Some(()))
    }

    #[test]
    fn nobody_is_overtaken_and_who_leaves_holds_nobody_up() {
        let queue = Queue::default();
        let [first, second, third] = [(); 3].map(|()| queue.join());
        assert!(poll(&second).is_pending() && poll(&third).is_pending());
        assert!(poll(&first).is_ready());
        drop(second);
        assert!(poll(&third).is_pending());
        drop(first);
        assert!(poll(&third).is_ready());
        drop(third);
        assert!(queue.is_empty());
    }
}
