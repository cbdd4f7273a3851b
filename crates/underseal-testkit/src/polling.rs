use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls `future` once, and drops it: what it returned, if it was ready.
pub fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
