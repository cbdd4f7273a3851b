//! Whether a connection has more to send than its other end takes, and when it has taken some of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that the socket takes in a round: about one frame of a stream that has much to send, so that the library
/// sends one of each other stream in that time. A client that reads slowly waits no longer for a
/// stream that [holds](Hold) than for so many bytes.
const ROUND: usize = 16 * 1024;

/// What the streams of a connection know of its socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_full: Cell<bool>,
    /// Bytes taken in this round.
    taken: Cell<usize>,
    /// How many rounds have ended.
    rounds: Cell<u64>,
    /// Those who wait for the end of this one.
    waiting: RefCell<Vec<Waker>>,
}

impl Backlog {
    /// Whether the socket took less than there was, the last time.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.get()
    }

    /// Notes whether it did; a round ends where it has taken all.
    pub(crate) fn set(&self, is_full: bool) {
        if self.0.is_full.replace(is_full) && !is_full {
            self.end_round();
        }
    }

    /// Notes what the socket took: a stream that keeps it busy is not to hold up others.
    pub(crate) fn add_taken(&self, bytes: usize) {
        let taken = self.0.taken.get() + bytes;
        self.0.taken.set(taken % ROUND);
        if taken >= ROUND {
            self.end_round();
        }
    }

    fn end_round(&self) {
        self.0.rounds.set(self.0.rounds.get() + 1);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    #[cfg(test)]
    pub(crate) fn of_test(is_full: bool) -> Self {
        let backlog = Self::default();
        backlog.set(is_full);
        backlog
    }
}

/// A stream's wait for the end of the round in which it began.
pub(crate) struct Hold {
    backlog: Backlog,
    since: u64,
    /// Who waits.
    waker: Option<Waker>,
}

impl Hold {
    pub(crate) fn new(backlog: Backlog) -> Self {
        let (since, waker) = (0, None);
        Self {
            backlog,
            since,
            waker,
        }
    }

    /// Whether there is a reason to wait.
    pub(crate) fn is_needed(&self) -> bool {
        self.backlog.is_full()
    }

    /// Begins to wait.
    pub(crate) fn begin(&mut self) {
        self.forget();
        self.since = self.backlog.0.rounds.get();
    }

    /// Waits until the round is over.
    pub(crate) fn poll_over(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.backlog.0.rounds.get() != self.since {
            return Poll::Ready(());
        }
        let is_known = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.waker.as_ref().is_some_and(is_known) {
            self.forget();
            self.waker = Some(cx.waker().clone());
            let mut waiting = self.backlog.0.waiting.borrow_mut();
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn forget(&mut self) {
        if let Some(waker) = self.waker.take() {
            let mut waiting = self.backlog.0.waiting.borrow_mut();
            waiting.retain(|other| !other.will_wake(&waker));
        }
    }
}

/// A round lasts as long as a client likes that reads nothing: what is over does not stay until then.
impl Drop for Hold {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn is_over(hold: &mut Hold) -> bool {
        poll_fn(|cx| Poll::Ready(hold.poll_over(cx).is_ready())).await
    }

    #[tokio::test]
    async fn a_wait_lasts_for_a_round_however_full_the_socket_stays() {
        let backlog = Backlog::of_test(true);
        let mut hold = Hold::new(backlog.clone());
        for _ in 0..2 {
            hold.begin();
            for _ in 0..2 {
                assert!(!is_over(&mut hold).await);
                assert_eq!(backlog.0.waiting.borrow().len(), 1);
                backlog.add_taken(ROUND / 2);
            }
            assert!(is_over(&mut hold).await);
            assert_eq!(backlog.0.waiting.borrow().len(), 0);
        }
        assert!(backlog.is_full());
    }

    #[tokio::test]
    async fn nothing_stays_of_a_wait_that_was_given_up() {
        let backlog = Backlog::of_test(true);
        let mut hold = Hold::new(backlog.clone());
        hold.begin();
        assert!(!is_over(&mut hold).await);
        drop(hold);
        assert_eq!(backlog.0.waiting.borrow().len(), 0);
    }
}
