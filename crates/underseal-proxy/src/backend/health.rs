//! Which backends are passed over, and for how long.
//!
//! One that took no connection, or had no stream, is passed over, if there are others; then one request tries
//! it while the others go on passing it over, and each time it fails they do for longer. One that neither takes
//! nor refuses a connection is told by how long that lasts, so that only those wait who asked at once.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long an attempt may last before others pass the backend over.
const SLOW: Duration = Duration::from_millis(500);

/// How long it is passed over after the first failure, and at most.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What is known of one backend.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Attempts that failed since one did not; those of one round count once.
    failures: Cell<u32>,
    /// It is passed over until then.
    until: Cell<Option<Instant>>,
    attempts: Cell<u32>,
    /// Since when attempts have been under way and none has succeeded.
    since: Cell<Option<Instant>>,
}

/// An attempt to connect, or to be given a stream; counted until it is dropped.
pub(super) struct Attempt<'a>(&'a Health);

impl Health {
    /// Whether others are to be asked first.
    pub(super) fn is_passed_over(&self) -> bool {
        let is_known_well = self.failures.get() == 0 && self.attempts.get() == 0;
        !is_known_well && self.is_passed_over_at(Instant::now())
    }

    fn is_passed_over_at(&self, now: Instant) -> bool {
        match (self.failures.get(), self.since.get()) {
            (0, None) => false,
            (0, Some(since)) => now.duration_since(since) >= SLOW,
            // One finds out for all.
            (_, Some(_)) => true,
            (_, None) => self.until.get().is_some_and(|until| now < until),
        }
    }

    /// Rounds of attempts that failed since one did not.
    pub(super) fn failures(&self) -> u32 {
        self.failures.get()
    }

    /// Whether it failed the last time.
    pub(super) fn is_failing(&self) -> bool {
        self.failures.get() > 0
    }

    pub(super) fn attempt(&self) -> Attempt<'_> {
        self.attempt_at(Instant::now())
    }

    fn attempt_at(&self, now: Instant) -> Attempt<'_> {
        self.attempts.set(self.attempts.get() + 1);
        if self.since.get().is_none() {
            self.since.set(Some(now));
        }
        Attempt(self)
    }
}

impl Attempt<'_> {
    pub(super) fn succeeded(self) {
        self.0.failures.set(0);
        self.0.until.set(None);
        // Others that are under way have waited for less.
        self.0.since.set(Some(Instant::now()));
    }

    pub(super) fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        let health = self.0;
        if health.until.get().is_some_and(|until| now < until) {
            return;
        }
        let failures = health.failures.get();
        let longer = SHORTEST.saturating_mul(1 << failures.min(16));
        health.failures.set(failures.saturating_add(1));
        health.until.set(Some(now + longer.min(LONGEST)));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let left = self.0.attempts.get() - 1;
        self.0.attempts.set(left);
        if left == 0 {
            self.0.since.set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_while_the_others_pass_over_for_longer_each_time() {
        let health = Health::default();
        let mut now = Instant::now();
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert!(!health.is_passed_over_at(now));
            let probe = health.attempt_at(now);
            // Another one that began at the same time counts as the same failure.
            let other = health.attempt_at(now);
            now += Duration::from_secs(5);
            assert!(health.is_passed_over_at(now), "somebody tries it");
            probe.failed_at(now);
            other.failed_at(now);
            let until = now + Duration::from_secs(seconds);
            assert!(health.is_passed_over_at(until - Duration::from_millis(1)));
            now = until;
        }
        health.attempt_at(now).succeeded();
        assert!(!health.is_passed_over_at(now) && !health.is_failing());
    }

    #[test]
    fn who_takes_long_is_passed_over_before_anybody_knows_why() {
        let health = Health::default();
        let now = Instant::now();
        let attempt = health.attempt_at(now);
        assert!(!health.is_passed_over_at(now + SLOW / 2));
        assert!(health.is_passed_over_at(now + SLOW));
        // Whoever gives up has found out nothing.
        drop(attempt);
        assert!(!health.is_passed_over_at(now + SLOW) && !health.is_failing());
    }
}
