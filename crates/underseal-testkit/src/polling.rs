use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// Polls `future` once, and drops it: what it returned, if it was ready.
pub fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// A task that is never run.
struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// The task of a future that was given up.
pub struct GivenUp(Weak<Quiet>);

impl GivenUp {
    /// Whether anybody would still wake it, and so keeps it.
    pub fn is_kept(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Polls `future` once, for a task of its own, and drops it.
///
/// # Panics
/// When it had nothing to wait for.
pub fn give_up<T>(future: impl Future<Output = T>) -> GivenUp {
    let task = Arc::new(Quiet);
    let waker = Waker::from(Arc::clone(&task));
    let polled = pin!(future).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "nothing to wait for");
    GivenUp(Arc::downgrade(&task))
}
