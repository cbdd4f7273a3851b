//! Whether the other end of a connection to a backend is still there, where it owes an answer.
//!
//! A host that is gone says nothing, and the kernel waits for it for many minutes. Each request would go to it
//! and wait for as long as a backend may.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};
use underseal_server::deadline::{Deadline, Phase, Stop};

/// How long nothing may come behind a request before the other end is asked.
const QUIET: Duration = Duration::from_secs(5);

/// How long it has to answer: one that has a single thread may be at work.
const ANSWER: Duration = Duration::from_secs(10);

/// How long it is not asked again: services of gRPC end a connection on which PINGs come more often while they
/// say nothing.
const REST: Duration = Duration::from_secs(5 * 60);

/// What is known of the other end. It is asked where nothing comes behind a request, and then not for long.
pub(super) struct Liveness {
    ping_pong: Option<PingPong>,
    deadline: Deadline,
    state: State,
    /// Requests and bytes received, when waiting began.
    begun: u64,
    received: u64,
    /// When it was last asked.
    asked: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It owes nothing, or has shown that it is there.
    Present,
    /// It was sent a request.
    Waiting,
    /// It was asked.
    Asked,
    Gone,
}

impl Liveness {
    pub(super) fn new(ping_pong: Option<PingPong>, deadline: Deadline) -> Self {
        Self {
            ping_pong,
            deadline,
            state: State::Present,
            begun: 0,
            received: 0,
            asked: None,
        }
    }

    /// To be called in each poll of the connection, with how many requests have begun on it and how many bytes
    /// were received: says whether the other end does not answer.
    pub(super) fn is_gone(&mut self, cx: &mut Context<'_>, (begun, received): (u64, u64)) -> bool {
        let has_come = match self.state {
            State::Present => true,
            State::Waiting => received != self.received,
            State::Asked => self.poll_pong(cx).is_ready(),
            State::Gone => return true,
        };
        if has_come {
            self.state = State::Present;
            if begun == self.begun {
                return false;
            }
            (self.begun, self.received) = (begun, received);
            if self.rests() {
                return false;
            }
            self.wait(State::Waiting, QUIET);
        }
        if self.deadline.check(cx) == Some(Stop::TimedOut) {
            self.late(cx, received);
        }
        self.state == State::Gone
    }

    /// What to do when nothing has come for long.
    fn late(&mut self, cx: &mut Context<'_>, received: u64) {
        let is_asked = match self.state {
            State::Waiting => self.ask(),
            // It says something else, and may come to that.
            _ => received != self.received,
        };
        if is_asked {
            self.received = received;
            self.wait(State::Asked, ANSWER);
            // The answer wakes whoever waits for it.
            cx.waker().wake_by_ref();
        } else {
            self.state = State::Gone;
        }
    }

    fn rests(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() < REST)
    }

    /// Says whether it can be asked.
    fn ask(&mut self) -> bool {
        self.asked = Some(Instant::now());
        let ping_pong = self.ping_pong.as_mut();
        ping_pong.is_some_and(|ping_pong| ping_pong.send_ping(Ping::opaque()).is_ok())
    }

    fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.ping_pong {
            Some(ping_pong) => ping_pong.poll_pong(cx).map(drop),
            None => Poll::Pending,
        }
    }

    fn wait(&mut self, state: State, limit: Duration) {
        self.state = state;
        self.deadline.enter(Phase::Busy, limit);
    }
}
