//! Bytes that pass both ways, unlooked at, until both ends have ended.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use super::chunk::Chunk;
use super::flow::{Body, Broken, Flow};
use super::process::Timeouts;
use super::stream::Stream;
use underseal_server::deadline::{Deadline, Phase, Stop};

/// What came of a tunnel.
pub(crate) struct Passed {
    /// Bytes from the client, and to it.
    pub(crate) from_client: u64,
    pub(crate) to_client: u64,
    /// Why it did not end in order.
    pub(crate) error: Option<&'static str>,
}

/// Passes bytes between `client` and `backend`, beginning with those that were read already. An end
/// is passed on too, and the other direction goes on until it ends as well, or until nothing has passed
/// for so long.
pub(crate) async fn pass(
    (deadline, timeouts): (&Deadline, &Timeouts),
    (client, from_client): (&mut Stream, Chunk),
    (backend, from_backend): (&mut Stream, Chunk),
) -> Passed {
    let mut tunnel = Tunnel {
        up: Way::new(from_client),
        down: Way::new(from_backend),
        waited: None,
    };
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = tunnel.poll(cx, client, backend) {
            return Poll::Ready(ended);
        }
        tunnel.wait(deadline, timeouts);
        match deadline.check(cx) {
            None => Poll::Pending,
            Some(Stop::TimedOut) => Poll::Ready(Err("tunnel-silent")),
            Some(Stop::Closing | Stop::Ended) => Poll::Ready(Err("proxy-ended")),
        }
    });
    let error = ended.await.err();
    Passed {
        from_client: tunnel.up.flow.passed,
        to_client: tunnel.down.flow.passed,
        error,
    }
}

struct Tunnel {
    up: Way,
    down: Way,
    /// Whether an end had ended and what had passed when the deadline was set.
    waited: Option<(bool, u64)>,
}

/// One direction.
struct Way {
    flow: Flow,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// Its source has ended, and its sink is being told.
    Ending,
    Ended,
}

impl Tunnel {
    /// Sets the deadline anew where something has passed or an end has ended since, and by nothing else: what
    /// wakes a tunnel need not be a byte of it.
    fn wait(&mut self, deadline: &Deadline, timeouts: &Timeouts) {
        let is_half_closed = self.up.has_source_ended() || self.down.has_source_ended();
        let passed = self.up.flow.passed + self.down.flow.passed;
        let waited = Some((is_half_closed, passed));
        if self.waited == waited {
            return;
        }
        self.waited = waited;
        deadline.enter(Phase::Busy, timeouts.silence(is_half_closed));
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        backend: &mut Stream,
    ) -> Poll<Result<(), &'static str>> {
        let up = self.up.poll(cx, client, backend);
        if let Poll::Ready(Err(broken)) = up {
            return Poll::Ready(Err(broken.word("client-cut", "backend-cut")));
        }
        let down = self.down.poll(cx, backend, client);
        if let Poll::Ready(Err(broken)) = down {
            return Poll::Ready(Err(broken.word("backend-cut", "client-cut")));
        }
        match (up, down) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}

impl Way {
    fn new(read: Chunk) -> Self {
        Self {
            flow: Flow::new(read, Body::UntilClose),
            state: State::Flowing,
        }
    }

    fn has_source_ended(&self) -> bool {
        self.state != State::Flowing
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        if self.state == State::Flowing {
            match self.flow.poll(cx, source, sink) {
                Poll::Ready(Ok(())) => self.state = State::Ending,
                other => return other,
            }
        }
        if self.state == State::Ending {
            match Pin::new(sink).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.state = State::Ended,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => {
                    self.state = State::Ended;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Sink(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}
