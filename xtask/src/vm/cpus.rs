//! The CPUs of this machine, handed out to VMs.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

/// CPUs that nobody has taken, of all that there are.
pub(super) struct Cpus {
    all: usize,
    free: Mutex<usize>,
    given_back: Condvar,
}

/// CPUs that somebody has, until it is dropped.
pub(super) struct Taken<'a> {
    from: &'a Cpus,
    count: usize,
}

impl Cpus {
    pub(super) fn of_this_machine() -> Self {
        Self::new(available_parallelism().map_or(1, NonZero::get))
    }

    fn new(all: usize) -> Self {
        let (free, given_back) = (Mutex::new(all), Condvar::new());
        Self {
            all,
            free,
            given_back,
        }
    }

    /// Waits until `count` CPUs are free, all of them where there are fewer, and takes them.
    pub(super) fn take(&self, count: usize) -> Taken<'_> {
        let count = count.min(self.all);
        let free = self
            .given_back
            .wait_while(self.free(), |free| *free < count);
        *free.unwrap_or_else(PoisonError::into_inner) -= count;
        Taken { from: self, count }
    }

    /// A number is right whoever panicked.
    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.from.free() += self.count;
        self.from.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TryRecvError, channel};

    use super::*;

    #[test]
    fn whoever_needs_more_than_is_free_waits() {
        let cpus = Cpus::new(2);
        let (first, second) = (cpus.take(1), cpus.take(1));
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(cpus.take(2).count).unwrap());
            drop(first);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            drop(second);
            assert_eq!(receiver.recv(), Ok(2));
        });
    }

    #[test]
    fn a_machine_that_has_fewer_gives_all() {
        let cpus = Cpus::new(1);
        assert_eq!(cpus.take(2).count, 1);
        assert_eq!(*cpus.free(), 1);
    }
}
