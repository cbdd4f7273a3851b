//! How long an exchange waits, and for whom.

use std::task::Context;
use std::time::Duration;

use crate::process::Timeouts;
use underseal_server::deadline::{Deadline, Phase, Stop};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Client,
    Backend,
    /// Either's: both bodies are open, and may be silent for long.
    Either,
    /// The other's, of a tunnel of which one end has ended its sending.
    HalfClosed,
}

/// Why an exchange waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Client,
    Backend,
    /// The proxy is ending.
    Ended,
}

/// The deadline of whose turn it is. It is set anew where it is another's turn or something has passed,
/// and by nothing else: what wakes an exchange need not have been of use to it, such as bytes that a client
/// sends before anybody asks for them.
#[derive(Debug, Default)]
pub(crate) struct TurnDeadline {
    wait: Option<Wait>,
    /// What had passed when it was set.
    passed: u64,
}

impl TurnDeadline {
    /// Whether it is over: to be called in each poll that can go no further.
    pub(crate) fn check(
        &mut self,
        cx: &Context<'_>,
        (deadline, timeouts): (&Deadline, &Timeouts),
        wait: Wait,
        passed: u64,
    ) -> Option<Late> {
        if self.wait != Some(wait) || self.passed != passed {
            (self.wait, self.passed) = (Some(wait), passed);
            deadline.enter(Phase::Busy, wait.patience(timeouts));
        }
        Some(match (deadline.check(cx)?, wait) {
            (Stop::Closing | Stop::Ended, _) => Late::Ended,
            (Stop::TimedOut, Wait::Client) => Late::Client,
            (Stop::TimedOut, _) => Late::Backend,
        })
    }
}

impl Wait {
    fn patience(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Client => timeouts.send,
            Self::Backend => timeouts.response,
            Self::Either => timeouts.silence(false),
            Self::HalfClosed => timeouts.silence(true),
        }
    }
}
