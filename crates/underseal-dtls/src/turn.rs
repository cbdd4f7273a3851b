//! Who receives. What one receives may be for others too: payloads that came in one datagram with
//! his, or the end. Whoever waited in the kernel meanwhile would not be told, so that one at a time
//! waits there, and the others for their turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<bool>,
    passed: Condvar,
}

/// The right to receive, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    /// When whoever has it waits no longer, where that is earlier than the socket would say.
    until: Option<Instant>,
}

impl Turns {
    /// Waits for the turn of another, who does not wait himself.
    pub(crate) fn next(&self) -> Turn<'_> {
        let mut taken = self.lock();
        while *taken {
            let passed = self.passed.wait(taken);
            taken = passed.unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        self.turn(None)
    }

    /// The turn, if nobody has it.
    pub(crate) fn now(&self) -> Option<Turn<'_>> {
        let mut taken = self.lock();
        let is_free = !std::mem::replace(&mut *taken, true);
        is_free.then(|| self.turn(None))
    }

    /// Waits for the turn, and with it, until then.
    pub(crate) fn until(&self, until: Instant) -> Option<Turn<'_>> {
        let mut taken = self.lock();
        while *taken {
            let left = until.checked_duration_since(Instant::now())?;
            let passed = self.passed.wait_timeout(taken, left);
            (taken, _) = passed.unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        Some(self.turn(Some(until)))
    }

    fn turn(&self, until: Option<Instant>) -> Turn<'_> {
        Turn { turns: self, until }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// When whoever has it waits no longer, where that is earlier than the socket would say.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.lock() = false;
        self.turns.passed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_at_a_time_has_the_turn_and_others_wait_no_longer_than_they_like() {
        let turns = Turns::default();
        let turn = turns.now().expect("nobody has it");
        assert!(turns.now().is_none());
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(turns.until(soon).is_none());
        drop(turn);
        drop(turns.until(soon).expect("it was passed on"));
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
