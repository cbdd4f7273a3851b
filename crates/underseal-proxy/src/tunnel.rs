//! Bytes that pass both ways, unlooked at, until both ends have ended.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use super::backend::Backend;
use super::chunk::Chunk;
use super::exchange::{TurnDeadline, Wait};
use super::flow::{Body, Broken, Flow};
use super::log::Outcome;
use super::process::Timeouts;
use super::stream::Stream;
use underseal_server::closing::End;
use underseal_server::deadline::Deadline;

/// Passes bytes between `client` and `backend`, beginning with those that were read already; says what came
/// of it, and how the client's connection ends. An end is passed on too, and the other direction goes on until
/// it ends as well, or until nothing has passed for so long.
pub(crate) async fn pass(
    (deadline, timeouts): (&Deadline, &Timeouts),
    (client, from_client): (&mut Stream, Chunk),
    (mut backend, from_backend): (Box<Backend>, Chunk),
    outcome: &mut Outcome<'_>,
) -> End {
    let mut tunnel = Tunnel {
        up: Way::new(from_client),
        down: Way::new(from_backend),
    };
    let mut turn = TurnDeadline::default();
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = tunnel.poll(cx, client, &mut backend.stream) {
            return Poll::Ready(ended);
        }
        let is_half_closed = tunnel.up.has_source_ended() || tunnel.down.has_source_ended();
        let passed = tunnel.up.flow.passed + tunnel.down.flow.passed;
        let wait = Wait::in_tunnel(is_half_closed);
        match turn.check(cx, (deadline, timeouts), wait, passed) {
            None => Poll::Pending,
            Some(stopped) => Poll::Ready(Err(stopped.word())),
        }
    });
    let error = ended.await.err();
    outcome.bytes_in = tunnel.up.flow.passed;
    outcome.bytes_out = tunnel.down.flow.passed;
    outcome.error = error.map(Into::into);
    match error {
        None => End::Close,
        Some(_) => {
            backend.stream.abort();
            End::Abort
        }
    }
}

struct Tunnel {
    up: Way,
    down: Way,
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
