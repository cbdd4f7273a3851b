//! Connections to backends that speak HTTP/2: many streams share one.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use tokio::task::spawn_local;

use super::answer::{Answer, Unanswerable};
use super::liveness::Liveness;
use super::queue::Queue;
use super::shared::Slot;
use super::{Event, Lost};
use crate::backend::{Backend, Known};
use crate::exchange::{Allowed, Fault, Unanswered};
use crate::flow::{Broken, Waiting};
use crate::http2::active::{Active, Presence};
use crate::http2::backlog::Backlog;
use crate::http2::gathered::Gathered;
use crate::http2::limits;
use crate::parts::{Part, Parts, Pump};
use crate::process::Process;
use underseal_server::deadline::{Deadline, Phase};

/// How long a connection without streams is kept.
const KEPT: Duration = Duration::from_secs(60);

/// A connection that streams share.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    pub(super) active: Rc<Active>,
    backlog: Backlog,
    /// Those who wait for a stream on this connection, or another to the same backend.
    queue: Rc<Queue>,
    /// Whether it takes no more streams. Those that are open may go on.
    is_closed: Cell<bool>,
    /// Whether whoever could use it again has left.
    is_left: Cell<bool>,
    /// How many requests have begun on it.
    begun: Cell<u64>,
    name: Box<str>,
    known: Known,
}

/// A request on a stream of a connection, and its response.
pub(crate) struct Http2 {
    slot: Slot,
    answer: Answer,
    /// The request's body, until it was sent.
    up: Option<Pump>,
    /// Bytes of it that were sent before.
    passed: u64,
    /// Whether the connection served a request before: it may have died since.
    is_reused: bool,
}

impl Connection {
    /// How many streams may be open on it.
    fn most(&self) -> usize {
        let most = self.sender.current_max_send_streams();
        most.min(limits::BACKEND_STREAMS)
    }

    fn has_room(&self) -> bool {
        self.active.count() < self.most()
    }

    /// Whether another stream may begin. The backend may have said that none may (GOAWAY) while others go on:
    /// to try it in vain would count as a try of the request's.
    pub(super) fn lets_begin(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(_)) = self.sender.clone().poll_ready(&mut cx) {
            self.close();
        }
        self.has_room() && !self.is_closed.get()
    }

    /// Whether the backend takes no stream on it, and has taken none before: one that did may be about to end it.
    pub(super) fn takes_none(&self) -> bool {
        self.most() == 0 && self.begun.get() == 0
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Has nobody begin a stream on it.
    fn close(&self) {
        if !self.is_closed.replace(true) {
            // Another one may be made now.
            self.queue.wake_first();
        }
    }

    /// Notes that nobody can use it again.
    pub(super) fn leave(&self) {
        self.is_left.set(true);
        self.active.wake();
    }

    /// Whether nobody can use it again, and nobody does.
    fn is_abandoned(&self) -> bool {
        (self.is_left.get() || self.is_closed.get()) && self.active.count() == 0
    }

    /// Who is at its other end.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }
}

impl Slot {
    /// Who is at the other end.
    pub(crate) fn known(&self) -> &Known {
        self.connection.known()
    }

    /// Begins the stream, on which a body follows if it `has_body`; `None` if the connection has ended
    /// meanwhile.
    ///
    /// # Errors
    /// If it was allowed for another backend.
    pub(crate) fn begin(
        self,
        head: Allowed<http::Request<()>>,
        has_body: bool,
    ) -> Result<Option<Http2>, Fault> {
        let connection = &self.connection;
        let (head, guard) = head.to(connection.known.target).ok_or(Fault::BackendCut)?;
        let before = connection.begun.get();
        connection.begun.set(before + 1);
        let (response, sink) = match connection.sender.clone().send_request(head, !has_body) {
            Ok(begun) => begun,
            Err(error) => {
                tracing::debug!("backend {}: {error}", connection.name);
                connection.close();
                return Ok(None);
            }
        };
        let backlog = connection.backlog.clone();
        Ok(Some(Http2 {
            slot: self,
            answer: Answer::from(response),
            up: has_body.then(|| Pump::new(sink, backlog).guarded(guard)),
            passed: 0,
            is_reused: before > 0,
        }))
    }
}

impl Http2 {
    /// Has nobody else use the connection.
    pub(crate) fn distrust(&self) {
        self.slot.connection.close();
    }

    /// Goes on with the request's body. Where the backend takes no more of it, that is the end of it.
    ///
    /// # Errors
    /// Why `body` does not come to its end: never [`Broken::Sink`].
    pub(crate) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl Parts,
    ) -> Result<(), Broken> {
        let Some(pump) = &mut self.up else {
            // Nobody takes more of it.
            body.hold(cx);
            return Ok(());
        };
        match pump.poll(cx, body) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(()) | Err(Broken::Sink(_))) => {}
            Poll::Ready(Err(broken)) => {
                tracing::debug!("request: {broken}");
                pump.reset(Reason::CANCEL);
                return Err(broken);
            }
        }
        self.passed = pump.passed();
        self.up = None;
        body.hold(cx);
        Ok(())
    }

    pub(super) fn passed(&self) -> u64 {
        self.up.as_ref().map_or(self.passed, Pump::passed)
    }

    /// Whether all of the body was sent, or all that is wanted.
    pub(crate) fn is_sent(&self) -> bool {
        self.up.is_none()
    }

    /// Whether the client is to send more, and what it sent has been taken.
    pub(crate) fn waits_for_client(&self) -> bool {
        let up = self.up.as_ref();
        up.is_some_and(|pump| pump.waiting == Waiting::Source)
    }

    /// The next head of a response.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Lost>> {
        let head = ready!(self.answer.poll_head(cx));
        Poll::Ready(head.map_err(|why| match why {
            Unanswerable::Lost(error) => self.lost(&error),
            Unanswerable::Bad(bad) => Lost::bad(bad),
        }))
    }

    fn lost(&self, error: &h2::Error) -> Lost {
        tracing::debug!("a backend did not answer: {error}");
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_over = error.is_io() || error.is_go_away();
        if is_over {
            self.distrust();
        }
        Lost::unanswered(if error.is_remote() && (refused || error.is_go_away()) {
            Unanswered::Unprocessed
        } else if is_over && self.is_reused {
            Unanswered::Died
        } else {
            Unanswered::Unknown
        })
    }
}

/// The response's body, once its head has come.
impl Parts for Http2 {
    fn is_at_end(&self) -> bool {
        self.answer.is_at_end()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        self.answer.poll_part(cx)
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        self.answer.hold(cx);
    }
}

/// Begins to speak HTTP/2 on a connection to the backend of this name, and has a task go on with it, for those
/// in the queue too. The backend has said then how many streams it takes: until it has, the library believes
/// in any number, and keeps to itself those that are too many.
///
/// # Errors
/// What the connection did.
pub(super) async fn begin(
    process: &Process,
    backend: Box<Backend>,
    (name, queue): (&str, &Rc<Queue>),
) -> io::Result<Rc<Connection>> {
    if backend.stream.is_tls() && backend.stream.alpn() != Some(b"h2") {
        return Err(io::Error::other("does not speak HTTP/2"));
    }
    let Backend { stream, known, .. } = *backend;
    let stream = Gathered::of_backend(stream);
    let begun = limits::client().handshake(stream.clone()).await;
    let (sender, driven) = begun.map_err(io::Error::other)?;
    stream.defer();
    let mut driven = Driven { driven, stream };
    poll_fn(|cx| match driven.poll(cx) {
        Poll::Ready(ended) => {
            Poll::Ready(ended.and_then(|()| Err(io::ErrorKind::UnexpectedEof.into())))
        }
        Poll::Pending if limits::are_known(&sender) => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let connection = Rc::new(Connection {
        sender,
        active: Rc::default(),
        backlog: driven.stream.backlog(),
        queue: Rc::clone(queue),
        is_closed: Cell::new(false),
        is_left: Cell::new(false),
        begun: Cell::new(0),
        name: name.into(),
        known,
    });
    let own_deadline = process.deadlines.add();
    let ping_pong = driven.driven.ping_pong();
    let liveness = Liveness::new(ping_pong, process.deadlines.add());
    let driving = drive(driven, (own_deadline, liveness), Rc::clone(&connection));
    spawn_local(driving);
    Ok(connection)
}

/// What goes on with a connection.
struct Driven {
    driven: client::Connection<Gathered, Bytes>,
    stream: Gathered,
}

impl Driven {
    /// Goes on until the connection ends.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(ended) = Pin::new(&mut self.driven).poll(cx) {
            return Poll::Ready(ended.map_err(io::Error::other));
        }
        match self.stream.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Runs a connection until it ends, or is not used any more.
async fn drive(
    mut driven: Driven,
    (deadline, mut liveness): (Deadline, Liveness),
    connection: Rc<Connection>,
) {
    let mut presence = Presence::new(deadline, Rc::clone(&connection.active));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = driven.poll(cx) {
            if let Err(error) = ended {
                tracing::debug!("backend {}: {error}", connection.name);
            }
            return Poll::Ready(());
        }
        let passed = (connection.begun.get(), driven.stream.received());
        if liveness.is_gone(cx, passed) && !connection.is_closed() {
            tracing::debug!("backend {}: does not answer", connection.name);
            connection.close();
        }
        // A stream has ended, or the backend takes more of them, or none any more.
        if !connection.queue.is_empty() && connection.lets_begin() {
            connection.queue.wake_first();
        }
        let is_over = presence.check(cx, Phase::Idle, KEPT).is_some();
        match is_over || connection.is_abandoned() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    connection.close();
}
