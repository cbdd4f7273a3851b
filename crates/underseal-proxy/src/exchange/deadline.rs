//! How long an exchange waits, and for whom.

use std::task::Context;
use std::time::Duration;

use super::fault::Fault;
use super::stopped::Stopped;
use crate::process::Timeouts;
use underseal_server::deadline::{Deadline, Phase, Stop};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Client,
    Backend,
    /// Either's: both bodies are open, and may be silent for long.
    Either,
    /// Either's, in a tunnel.
    Tunnel,
    /// The other's, in a tunnel of which one end has ended its sending.
    HalfClosed,
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
    ) -> Option<Stopped> {
        if self.wait != Some(wait) || self.passed != passed {
            (self.wait, self.passed) = (Some(wait), passed);
            deadline.enter(Phase::Busy, wait.patience(timeouts));
        }
        Some(match (deadline.check(cx)?, wait) {
            (Stop::Closing | Stop::Ended, _) => Stopped::Ended,
            (Stop::TimedOut, Wait::Client) => Fault::ClientTimeout.into(),
            (Stop::TimedOut, Wait::Backend | Wait::Either) => Fault::BackendTimeout.into(),
            (Stop::TimedOut, Wait::Tunnel | Wait::HalfClosed) => Stopped::Silent,
        })
    }
}

impl Wait {
    /// In an exchange: whether the head of the response has come, whether the client takes nothing of it, and
    /// whether it is to send more of the request.
    pub(crate) fn of(has_head: bool, takes_nothing: bool, wants_upload: bool) -> Self {
        match (takes_nothing, wants_upload, has_head) {
            (true, _, _) | (false, true, false) => Self::Client,
            (false, true, true) => Self::Either,
            (false, false, _) => Self::Backend,
        }
    }

    /// In a tunnel.
    pub(crate) fn in_tunnel(is_half_closed: bool) -> Self {
        match is_half_closed {
            true => Self::HalfClosed,
            false => Self::Tunnel,
        }
    }

    fn patience(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Client => timeouts.send,
            Self::Backend => timeouts.response,
            Self::Either | Self::Tunnel => timeouts.tunnel,
            Self::HalfClosed => timeouts.half_close.min(timeouts.tunnel),
        }
    }
}
