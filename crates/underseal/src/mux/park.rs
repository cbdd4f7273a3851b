use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Unparks a thread. What is polled is somebody else's code, too, and may park in between: the
/// token of the thread would be gone then, so that the wake-up is noted here as well.
struct Unpark {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static UNPARK: Arc<Unpark> = Arc::new(Unpark {
        thread: thread::current(),
        is_woken: AtomicBool::new(false),
    });
}

/// Waits for a future on a thread without a runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    wait(future, || {
        thread::park();
        true
    })
    .expect("only the end of a time ends the wait without an output")
}

/// [`block_on`] that also calls `each` as often as `time` passes.
pub(super) fn block_on_and<F: Future>(future: F, time: Duration, each: impl Fn()) -> F::Output {
    wait(future, || {
        thread::park_timeout(time);
        each();
        true
    })
    .expect("only the end of a time ends the wait without an output")
}

/// [`block_on`] for so long at most; `None` then.
pub(super) fn block_on_within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let start = Instant::now();
    wait(future, || match time.checked_sub(start.elapsed()) {
        Some(left) if !left.is_zero() => {
            thread::park_timeout(left);
            true
        }
        _ => false,
    })
}

/// Waits for a future as long as `park`, which waits for the thread's token, says so.
fn wait<F: Future>(future: F, park: impl Fn() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let unpark = UNPARK.with(Arc::clone);
    let waker = Waker::from(Arc::clone(&unpark));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending => {
                while !unpark.is_woken.swap(false, Ordering::Acquire) {
                    if !park() {
                        return None;
                    }
                }
            }
        }
    }
}
