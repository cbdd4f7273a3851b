//! Connections to backends that speak HTTP/2: many streams share one.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use h2::client::{self, SendRequest};
use hyper::body::Bytes;
use tokio::task::spawn_local;

use super::{Awaited, Begun, Link, Upload, Upstreams};
use crate::backend::{Backend, Known, Unreachable};
use crate::exchange::Allowed;
use crate::http1::Fault;
use crate::http2::active::{Active, Open, Presence};
use crate::http2::gathered::Gathered;
use crate::http2::limits;
use crate::http2::pump::{Pump, Source};
use crate::worker::Worker;
use underseal_server::watch::{Phase, Watch};

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
    was_used: Cell<bool>,
    name: Box<str>,
    known: Known,
}

/// A stream on a connection.
pub(crate) struct Stream {
    connection: Rc<Connection>,
    _open: Open,
}

impl Stream {
    pub(super) fn name(&self) -> &str {
        &self.connection.name
    }

    pub(super) fn target(&self) -> usize {
        self.connection.known.target
    }

    pub(super) fn distrust(&self) {
        self.connection.is_closed.set(true);
    }
}

impl Shared {
    /// A connection that takes another stream.
    fn usable(&self) -> Option<Rc<Connection>> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.is_closed.get());
        connections.iter().find(|known| known.has_room()).cloned()
    }
}

impl Connection {
    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams();
        self.active.count() < most.min(limits::BACKEND_STREAMS)
    }

    /// Who is at its other end.
    pub(in crate::http2) fn known(&self) -> &Known {
        &self.known
    }

    /// Begins a stream, and takes `body` for it; `None` if the connection has ended meanwhile.
    ///
    /// # Errors
    /// If the backend does not let another stream begin in time.
    pub(in crate::http2) async fn send(
        self: &Rc<Self>,
        worker: &Worker,
        watch: &Watch,
        head: Allowed<http::Request<()>>,
        body: &mut Option<Source>,
    ) -> Result<Option<Begun>, Fault> {
        let head = head.to(self.known.target).ok_or(Fault::BackendCut)?;
        let open = self.active.open();
        let is_reused = self.was_used.replace(true);
        let ready = self.sender.clone().ready();
        watch.enter(Phase::Busy, worker.timeouts().connect);
        let sender = watch.until(pin!(ready)).await;
        let mut sender = match sender.map_err(timed_out)? {
            Ok(sender) => sender,
            Err(error) => {
                tracing::debug!("backend {}: {error}", self.name);
                self.is_closed.set(true);
                return Ok(None);
            }
        };
        let Ok((response, sink)) = sender.send_request(head, body.is_none()) else {
            self.is_closed.set(true);
            return Ok(None);
        };
        Ok(Some(Begun {
            awaited: Awaited::Http2(response),
            upload: body.take().map_or(Upload::Done { passed: 0 }, |body| {
                Upload::Going(Pump::new(body, sink).guarded(worker.guard()))
            }),
            link: Link::Http2(Stream {
                connection: Rc::clone(self),
                _open: open,
            }),
            is_reused,
        }))
    }
}

impl Upstreams {
    /// A connection that takes another stream; to that backend, if it is to be tried `again`.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::http2) async fn connection(
        &self,
        worker: &Rc<Worker>,
        watch: &Watch,
        proxied: Option<&[u8]>,
        again: Option<usize>,
    ) -> Result<Rc<Connection>, Fault> {
        let first = again.unwrap_or_else(|| worker.backends.pick());
        let (index, _alone) = match self.turn(worker, watch, first).await? {
            Turn::Shared(connection) => return Ok(connection),
            Turn::Alone(index, alone) => (index, alone),
        };
        let connected = worker.backends.connect(worker, watch, index, proxied);
        // Boxed because it is rare and large.
        let backend = Box::pin(connected).await.map_err(Fault::Unreachable)?;
        let connection = handshake(worker, watch, *backend).await?;
        let shared = &self.multiplexed[connection.known.target];
        shared.connections.borrow_mut().push(Rc::clone(&connection));
        Ok(connection)
    }

    /// A connection to the backend `index` that takes another stream, or the right to make one.
    async fn turn(
        &self,
        worker: &Worker,
        watch: &Watch,
        mut index: usize,
    ) -> Result<Turn<'_>, Fault> {
        // Who is before us may try each backend, and then begins to speak HTTP/2.
        let tries = u32::try_from(worker.backends.count()).unwrap_or(u32::MAX);
        let patience = worker.timeouts().connect;
        let patience = patience.saturating_mul(tries.saturating_add(1));
        loop {
            let shared = &self.multiplexed[index];
            if let Some(connection) = shared.usable() {
                return Ok(Turn::Shared(connection));
            }
            watch.enter(Phase::Busy, patience);
            let alone = watch.until(pin!(shared.connecting.lock())).await;
            let alone = alone.map_err(timed_out)?;
            if let Some(connection) = shared.usable() {
                return Ok(Turn::Shared(connection));
            }
            // The one before us may have found that this backend takes no connection, and have
            // made one to another.
            let picked = worker.backends.pick_over(index);
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

fn timed_out(_: underseal_server::watch::Stop) -> Fault {
    Fault::Unreachable(Unreachable::TimedOut)
}

/// Begins to speak HTTP/2 on a connection, and has a task go on with it.
async fn handshake(
    worker: &Rc<Worker>,
    watch: &Watch,
    backend: Backend,
) -> Result<Rc<Connection>, Fault> {
    let name = worker.backends.name_of(backend.known.target);
    let failed = || Fault::Unreachable(Unreachable::Handshake);
    if backend.stream.is_tls() && backend.stream.alpn() != Some(b"h2") {
        tracing::warn!("backend {name} does not speak HTTP/2");
        return Err(failed());
    }
    let builder = limits::client();
    let Backend { stream, known, .. } = backend;
    let stream = Gathered::new(stream);
    let handshake = builder.handshake(stream.clone());
    watch.enter(Phase::Busy, worker.timeouts().connect);
    let (sender, driven) = watch
        .until(pin!(handshake))
        .await
        .map_err(timed_out)?
        .map_err(|error| {
            tracing::warn!("backend {name}: {error}");
            failed()
        })?;
    let connection = Rc::new(Connection {
        sender,
        active: Rc::default(),
        is_closed: Cell::new(false),
        was_used: Cell::new(false),
        name: name.into(),
        known,
    });
    stream.defer();
    let own_watch = worker.watches.add();
    let driving = drive(driven, stream, own_watch, Rc::clone(&connection));
    spawn_local(driving);
    Ok(connection)
}

/// Runs a connection until it ends, or is not used any more.
async fn drive(
    mut driven: client::Connection<Gathered, Bytes>,
    stream: Gathered,
    watch: Watch,
    connection: Rc<Connection>,
) {
    let mut presence = Presence::new(watch, Rc::clone(&connection.active));
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
        match presence.check(cx, Phase::Idle, KEPT) {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    })
    .await;
    connection.is_closed.set(true);
}
