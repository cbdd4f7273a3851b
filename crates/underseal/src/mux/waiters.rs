use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Tasks that wait for something to change. Asking whether there are any takes no lock.
#[derive(Default)]
pub(super) struct Waiters {
    wakers: Mutex<Vec<Waker>>,
    is_any: AtomicBool,
}

impl Waiters {
    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the task woken at the next change. A change between its look and this call is lost:
    /// look after it.
    pub(super) fn note(&self, cx: &Context<'_>) {
        let mut wakers = self.wakers();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        self.is_any.store(true, Ordering::SeqCst);
    }

    /// Wakes all of them.
    pub(super) fn wake(&self) {
        if !self.is_any.load(Ordering::SeqCst) {
            return;
        }
        let mut wakers = self.wakers();
        self.is_any.store(false, Ordering::SeqCst);
        let woken = std::mem::take(&mut *wakers);
        drop(wakers);
        woken.into_iter().for_each(Waker::wake);
    }
}
