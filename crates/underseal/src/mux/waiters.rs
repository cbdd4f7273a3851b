use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Tasks that wait for something to change. Asking whether there are any takes no lock.
#[derive(Default)]
pub(super) struct Waiters {
    /// By the key of the [`Waiter`].
    wakers: Mutex<BTreeMap<u64, Waker>>,
    is_any: AtomicBool,
}

impl Waiters {
    fn wakers(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that may wait here.
    pub(super) fn waiter(&self) -> Waiter<'_> {
        Waiter {
            waiters: self,
            key: None,
        }
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
        woken.into_values().for_each(Waker::wake);
    }
}

/// One that may wait. When it is dropped nothing of it is kept.
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    /// Unique in the process; none before the first wait.
    key: Option<u64>,
}

impl Waiter<'_> {
    /// Has the task woken at the next change. A change between its look and this call is lost:
    /// look after it.
    pub(super) fn note(&mut self, cx: &Context<'_>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let new = || NEXT.fetch_add(1, Ordering::Relaxed);
        let key = *self.key.get_or_insert_with(new);
        let waker = cx.waker().clone();
        let mut wakers = self.waiters.wakers();
        let replaced = wakers.insert(key, waker);
        self.waiters.is_any.store(true, Ordering::SeqCst);
        drop(wakers);
        // Not under the lock: a waker may be the last that has a task, with waiters of its own.
        drop(replaced);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let removed = self.waiters.wakers().remove(&key);
        drop(removed);
    }
}
