//! Connections to backends that speak HTTP/2: many streams share one.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use tokio::task::spawn_local;

use super::answer::{Answer, Unanswerable};
use super::{Event, Lost, Upstreams};
use crate::backend::{Backend, Known, Unreachable};
use crate::exchange::{Allowed, Unanswered};
use crate::flow::{Broken, Waiting};
use crate::http1::Fault;
use crate::http2::active::{Active, Open, Presence};
use crate::http2::gathered::Gathered;
use crate::http2::limits;
use crate::parts::{Part, Parts, Pump};
use crate::process::Process;
use crate::service::Service;
use underseal_server::deadline::{Deadline, Phase};

/// How long a connection without streams is kept.
const KEPT: Duration = Duration::from_secs(60);

/// The connections to one backend.
#[derive(Default)]
pub(super) struct Shared {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Held while one is made, so that those who wait share it.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection that streams share.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    active: Rc<Active>,
    /// Whether it takes no more streams. Those that are open may go on.
    is_closed: Cell<bool>,
    /// Whether whoever could use it again has left.
    is_left: Cell<bool>,
    was_used: Cell<bool>,
    name: Box<str>,
    known: Known,
}

/// A request on a stream of a connection, and its response.
pub(crate) struct Http2 {
    connection: Rc<Connection>,
    answer: Answer,
    /// The request's body, until it was sent.
    up: Option<Pump>,
    /// Bytes of it that were sent before.
    passed: u64,
    /// Whether the connection served a request before: it may have died since.
    is_reused: bool,
    _open: Open,
}

impl Shared {
    /// A connection that takes another stream.
    pub(super) fn usable(&self) -> Option<Rc<Connection>> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.is_closed.get());
        let usable = |known: &&Rc<Connection>| known.has_room() && known.lets_begin();
        connections.iter().find(usable).cloned()
    }
}

/// Connections that speak for one client end with it. Those that all share are never dropped before their
/// worker is.
impl Drop for Shared {
    fn drop(&mut self) {
        for connection in self.connections.get_mut() {
            connection.is_left.set(true);
            connection.active.wake();
        }
    }
}

impl Connection {
    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams();
        self.active.count() < most.min(limits::BACKEND_STREAMS)
    }

    /// Whether the backend lets streams begin: it may have said that it does not (GOAWAY) while others go on.
    /// To try it in vain would count as a try of the request's.
    fn lets_begin(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let ready = self.sender.clone().poll_ready(&mut cx);
        if let Poll::Ready(Err(_)) = ready {
            self.is_closed.set(true);
        }
        !self.is_closed.get()
    }

    /// Whether nobody can use it again, and nobody does.
    fn is_abandoned(&self) -> bool {
        (self.is_left.get() || self.is_closed.get()) && self.active.count() == 0
    }

    /// Who is at its other end.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Begins a stream, on which a body follows if it `has_body`; `None` if the connection has ended
    /// meanwhile.
    ///
    /// # Errors
    /// If the backend does not let another stream begin in time.
    pub(crate) async fn send(
        self: &Rc<Self>,
        process: &Process,
        deadline: &Deadline,
        head: Allowed<http::Request<()>>,
        has_body: bool,
    ) -> Result<Option<Http2>, Fault> {
        let (head, guard) = head.to(self.known.target).ok_or(Fault::BackendCut)?;
        let open = self.active.open();
        let is_reused = self.was_used.replace(true);
        let ready = self.sender.clone().ready();
        deadline.enter(Phase::Busy, process.timeouts().connect);
        let sender = deadline.until(pin!(ready)).await;
        let mut sender = match sender.map_err(|stop| Fault::Unreachable(timed_out(stop)))? {
            Ok(sender) => sender,
            Err(error) => {
                tracing::debug!("backend {}: {error}", self.name);
                self.is_closed.set(true);
                return Ok(None);
            }
        };
        let Ok((response, sink)) = sender.send_request(head, !has_body) else {
            self.is_closed.set(true);
            return Ok(None);
        };
        Ok(Some(Http2 {
            connection: Rc::clone(self),
            answer: Answer::from(response),
            up: has_body.then(|| Pump::new(sink).guarded(guard)),
            passed: 0,
            is_reused,
            _open: open,
        }))
    }
}

impl Http2 {
    pub(crate) fn target(&self) -> usize {
        self.connection.known.target
    }

    /// Has nobody else use the connection.
    pub(crate) fn distrust(&self) {
        self.connection.is_closed.set(true);
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
        self.passed = pump.passed;
        self.up = None;
        body.hold(cx);
        Ok(())
    }

    pub(super) fn passed(&self) -> u64 {
        self.up.as_ref().map_or(self.passed, |pump| pump.passed)
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

impl Upstreams {
    /// A connection that takes another stream, to the backend `first` if it takes any.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn connection(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        first: usize,
    ) -> Result<Rc<Connection>, Unreachable> {
        let (index, _alone) = match self.turn((process, service), deadline, first).await? {
            Turn::Shared(connection) => return Ok(connection),
            Turn::Alone(index, alone) => (index, alone),
        };
        let header = self.header.as_deref();
        let backend = service
            .backends
            .connect(process, deadline, index, header)
            .await?;
        self.share((process, service), deadline, backend).await
    }

    /// Begins to speak HTTP/2 on a connection, which others may then use too.
    ///
    /// # Errors
    /// Why it is not spoken.
    pub(super) async fn share(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        backend: Box<Backend>,
    ) -> Result<Rc<Connection>, Unreachable> {
        let connection = handshake((process, service), deadline, *backend).await?;
        let shared = &self.multiplexed[connection.known.target];
        shared.connections.borrow_mut().push(Rc::clone(&connection));
        Ok(connection)
    }

    /// A connection to the backend `index` that takes another stream, or the right to make one.
    async fn turn(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        mut index: usize,
    ) -> Result<Turn<'_>, Unreachable> {
        // Who is before us may try each backend, and then begins to speak HTTP/2.
        let tries = u32::try_from(service.backends.count()).unwrap_or(u32::MAX);
        let patience = process.timeouts().connect;
        let patience = patience.saturating_mul(tries.saturating_add(1));
        loop {
            let shared = &self.multiplexed[index];
            if let Some(connection) = shared.usable() {
                return Ok(Turn::Shared(connection));
            }
            deadline.enter(Phase::Busy, patience);
            let alone = deadline.until(pin!(shared.connecting.lock())).await;
            let alone = alone.map_err(timed_out)?;
            if let Some(connection) = shared.usable() {
                return Ok(Turn::Shared(connection));
            }
            // The one before us may have found that this backend takes no connection, and have
            // made one to another.
            let picked = service.backends.pick_over(index);
            if picked == index {
                return Ok(Turn::Alone(index, alone));
            }
            index = picked;
        }
    }
}

/// What comes of waiting for a connection to a backend.
enum Turn<'a> {
    Shared(Rc<Connection>),
    /// To make one to this backend, while nobody else does.
    Alone(usize, tokio::sync::MutexGuard<'a, ()>),
}

fn timed_out(_: underseal_server::deadline::Stop) -> Unreachable {
    Unreachable::TimedOut
}

/// Begins to speak HTTP/2 on a connection, and has a task go on with it.
async fn handshake(
    (process, service): (&Process, &Service),
    deadline: &Deadline,
    backend: Backend,
) -> Result<Rc<Connection>, Unreachable> {
    let name = service.backends.name_of(backend.known.target);
    if backend.stream.is_tls() && backend.stream.alpn() != Some(b"h2") {
        tracing::warn!("backend {name} does not speak HTTP/2");
        return Err(Unreachable::Handshake);
    }
    let builder = limits::client();
    let Backend { stream, known, .. } = backend;
    let stream = Gathered::of_backend(stream);
    let handshake = builder.handshake(stream.clone());
    deadline.enter(Phase::Busy, process.timeouts().connect);
    let (sender, driven) = deadline
        .until(pin!(handshake))
        .await
        .map_err(timed_out)?
        .map_err(|error| {
            tracing::warn!("backend {name}: {error}");
            Unreachable::Handshake
        })?;
    let connection = Rc::new(Connection {
        sender,
        active: Rc::default(),
        is_closed: Cell::new(false),
        is_left: Cell::new(false),
        was_used: Cell::new(false),
        name: name.into(),
        known,
    });
    stream.defer();
    let own_deadline = process.deadlines.add();
    let driving = drive(driven, stream, own_deadline, Rc::clone(&connection));
    spawn_local(driving);
    Ok(connection)
}

/// Runs a connection until it ends, or is not used any more.
async fn drive(
    mut driven: client::Connection<Gathered, Bytes>,
    stream: Gathered,
    deadline: Deadline,
    connection: Rc<Connection>,
) {
    let mut presence = Presence::new(deadline, Rc::clone(&connection.active));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut driven).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!("backend {}: {error}", connection.name);
            }
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(error)) = stream.poll_send(cx) {
            tracing::debug!("backend {}: {error}", connection.name);
            return Poll::Ready(());
        }
        let is_over = presence.check(cx, Phase::Idle, KEPT).is_some();
        match is_over || connection.is_abandoned() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    connection.is_closed.set(true);
}
