//! Who receives. What one receives may be for others too: payloads that came in one datagram with
//! his, or the end. Whoever waited in the kernel meanwhile would not be told, so that one at a time
//! waits there, and the others for their turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<bool>,
    passed: Condvar,
}

/// The right to receive, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    /// Waits for the turn of another, who does not wait himself.
    pub(crate) fn next(&self) -> Turn<'_> {
        let mut taken = self.lock();
        while *taken {
            let passed = self.passed.wait(taken);
            taken = passed.unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        Turn(self)
    }

    /// The turn, if nobody has it.
    pub(crate) fn now(&self) -> Option<Turn<'_>> {
        let mut taken = self.lock();
        let is_free = !std::mem::replace(&mut *taken, true);
        is_free.then(|| Turn(self))
    }

    /// Waits for the turn as long as `patience`.
    pub(crate) fn within(&self, patience: Duration) -> Option<Turn<'_>> {
        let start = Instant::now();
        let mut taken = self.lock();
        while *taken {
            let left = patience.checked_sub(start.elapsed())?;
            let passed = self.passed.wait_timeout(taken, left);
            (taken, _) = passed.unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.passed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_the_turn_and_others_wait_no_longer_than_they_like() {
        let turns = Turns::default();
        let turn = turns.now().expect("nobody has it");
        assert!(turns.now().is_none());
        assert!(turns.within(Duration::from_millis(5)).is_none());
        drop(turn);
        drop(turns.within(Duration::ZERO).expect("it was passed on"));
        drop(turns.next());
        assert!(turns.now().is_some());
    }

    #[test]
    fn whoever_waits_is_woken() {
        let turns = Turns::default();
        let turn = turns.next();
        std::thread::scope(|scope| {
            let waiting = [(); 3].map(|()| scope.spawn(|| drop(turns.next())));
            drop(turn);
            for waiter in waiting {
                waiter.join().expect("it got its turn");
            }
        });
    }
}
