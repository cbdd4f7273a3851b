//! One half of a connection: who seals, or who opens, and its lock.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, TryLockError};

use rustix::io::Errno;
use underseal_ulp::{Receive, Transmit};

use crate::call;

/// Who seals, or who opens.
pub(super) enum Half<T> {
    /// The program has not asked for it: it is TCP's.
    Plain,
    Tls(T),
    /// Another process goes on with it.
    GivenUp,
}

impl<T> Half<T> {
    /// Who seals or opens.
    ///
    /// # Errors
    ///
    /// `EBUSY` before there is one, as the kernel has it; `EBADFD` in a process that does not own it.
    pub(super) fn tls(&mut self) -> Result<&mut T, Errno> {
        match self {
            Self::Plain => Err(Errno::BUSY),
            Self::Tls(tls) => Ok(tls),
            Self::GivenUp => Err(Errno::BADFD),
        }
    }
}

/// What has keys.
pub(super) trait Keys {
    /// Overwrites them where they lie, and touches nothing else.
    fn erase_keys(&mut self);
}

impl Keys for Transmit {
    fn erase_keys(&mut self) {
        self.erase_keys();
    }
}

impl Keys for Receive {
    fn erase_keys(&mut self) {
        self.erase_keys();
    }
}

/// A direction that one thread at a time has. A mutex alone would keep the keys in a process that came by fork while
/// a thread had it: nobody unlocks it there.
pub(super) struct Locked<T> {
    lock: Mutex<()>,
    /// The thread that has it; 0 where none has it, or is about to take it or let go of it.
    holder: AtomicUsize,
    /// Whether who has it is changing the keys.
    is_changing: AtomicBool,
    direction: UnsafeCell<Half<T>>,
}

// SAFETY: the direction is reached by whoever has the lock, one at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

/// Why it is not to be had at once.
pub(super) enum Busy {
    /// Somebody else has it.
    Locked,
    /// A call on it failed inside of this library, and nobody knows where.
    Broken,
}

/// Whoever has it.
pub(super) struct Guard<'a, T> {
    locked: &'a Locked<T>,
    _lock: MutexGuard<'a, ()>,
}

impl<T> Locked<T> {
    pub(super) fn new() -> Self {
        Self {
            lock: Mutex::new(()),
            holder: AtomicUsize::new(0),
            is_changing: AtomicBool::new(false),
            direction: UnsafeCell::new(Half::Plain),
        }
    }

    /// Waits for it.
    ///
    /// # Errors
    ///
    /// `EIO` for one that is [`Busy::Broken`].
    pub(super) fn lock(&self) -> Result<Guard<'_, T>, Errno> {
        let lock = self.lock.lock().map_err(|_| Errno::IO)?;
        Ok(self.guard(lock))
    }

    /// Does not wait.
    pub(super) fn try_lock(&self) -> Result<Guard<'_, T>, Busy> {
        match self.lock.try_lock() {
            Ok(lock) => Ok(self.guard(lock)),
            Err(TryLockError::WouldBlock) => Err(Busy::Locked),
            Err(TryLockError::Poisoned(_)) => Err(Busy::Broken),
        }
    }

    fn guard<'a>(&'a self, lock: MutexGuard<'a, ()>) -> Guard<'a, T> {
        self.holder.store(call::thread(), Ordering::Relaxed);
        Guard {
            locked: self,
            _lock: lock,
        }
    }
}

impl<T: Keys> Locked<T> {
    /// Overwrites the keys in a process that came by fork. They stay where a thread of its parent was changing them just
    /// then, and where this thread was in it, and `comes_back` from the signal handler that called fork.
    pub(super) fn give_up(&self, comes_back: bool) {
        let is_own = match self.try_lock() {
            Ok(mut direction) => {
                if let Half::Tls(tls) = &mut *direction {
                    tls.erase_keys();
                }
                *direction = Half::GivenUp;
                return;
            }
            Err(Busy::Locked) => comes_back && self.may_be_held_here(),
            Err(Busy::Broken) => false,
        };
        if is_own || self.is_changing.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: whoever has the lock is a thread that is not in this process, and the other threads of this one wait for
        // this. The keys are whole, as they are not being changed; nothing else is touched.
        if let Half::Tls(tls) = unsafe { &mut *self.direction.get() } {
            tls.erase_keys();
        }
    }

    /// Whether this thread may have it.
    fn may_be_held_here(&self) -> bool {
        let holder = self.holder.load(Ordering::Relaxed);
        holder == 0 || holder == call::thread()
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.locked.holder.store(0, Ordering::Relaxed);
    }
}

impl<T> Guard<'_, T> {
    /// Changes the keys.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Half<T>) -> R) -> R {
        let locked = self.locked;
        locked.is_changing.store(true, Ordering::Relaxed);
        // A copy of this process has nothing of the change without that.
        fence(Ordering::SeqCst);
        let changed = change(self);
        locked.is_changing.store(false, Ordering::Release);
        changed
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = Half<T>;

    fn deref(&self) -> &Half<T> {
        // SAFETY: who has the guard has the lock.
        unsafe { &*self.locked.direction.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut Half<T> {
        // SAFETY: who has the guard has the lock, and lends it once.
        unsafe { &mut *self.locked.direction.get() }
    }
}
