use std::time::{Duration, Instant};

/// How long is waited for an ACK, at first and at most (RFC 9147 section 5.8.2).
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// When what was sent is due again. Each time it is waited twice as long.
#[derive(Debug, Default)]
pub(super) struct Timer {
    due: Option<Instant>,
    interval: Duration,
}

impl Timer {
    pub(super) fn start(&mut self, now: Instant) {
        self.interval = FIRST;
        self.due = Some(now + FIRST);
    }

    pub(super) fn stop(&mut self) {
        self.due = None;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the time is over; the next one begins then.
    pub(super) fn expired(&mut self, now: Instant) -> bool {
        let is_over = self.due.is_some_and(|due| now >= due);
        if is_over {
            self.interval = (2 * self.interval).min(LONGEST);
            self.due = Some(now + self.interval);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_twice_as_long_up_to_a_minute() {
        let (mut timer, mut now) = (Timer::default(), Instant::now());
        assert!(!timer.expired(now), "nothing was sent");
        timer.start(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let due = timer.due().expect("it runs");
            assert_eq!(due - now, Duration::from_secs(seconds));
            assert!(!timer.expired(due - Duration::from_millis(1)));
            assert!(timer.expired(due));
            now = due;
        }
        timer.stop();
        assert_eq!(timer.due(), None);
    }
}
