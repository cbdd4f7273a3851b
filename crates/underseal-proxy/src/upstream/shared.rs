//! The connections to one backend of HTTP/2, and who gets a stream on them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;

use super::Upstreams;
use super::multiplexed::{Connection, begin};
use super::queue::Queue;
use crate::backend::{Backend, Unreachable};
use crate::http2::active::Open;
use crate::http2::limits;
use crate::process::Process;
use crate::service::Service;
use underseal_server::deadline::{Deadline, Phase};

/// The connections to one backend.
#[derive(Default)]
pub(super) struct Shared {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Whether somebody makes another one, which those who wait share.
    is_growing: Cell<bool>,
    /// Those who wait for a stream.
    pub(super) queue: Rc<Queue>,
}

/// A stream that may begin on a connection. It counts from now on until this is dropped.
pub(crate) struct Slot {
    pub(super) connection: Rc<Connection>,
    _open: Open,
}

/// What comes of waiting.
enum Turn<'a> {
    Begin(Slot),
    /// To make a connection, while nobody else does.
    Grow(Growth<'a>),
}

/// The right to make a connection, until this is dropped.
struct Growth<'a>(&'a Shared);

impl Slot {
    fn on(connection: &Rc<Connection>) -> Option<Self> {
        connection.lets_begin().then(|| Self {
            connection: Rc::clone(connection),
            _open: connection.active.open(),
        })
    }
}

impl Shared {
    /// A stream that can begin, unless others wait for one.
    pub(super) fn at_hand(&self) -> Option<Slot> {
        self.queue.is_empty().then(|| self.free()).flatten()
    }

    fn free(&self) -> Option<Slot> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.is_closed());
        connections.iter().find_map(Slot::on)
    }

    /// Adds a connection, for a stream of whoever made it, if it takes any.
    fn add(&self, connection: Rc<Connection>) -> Option<Slot> {
        let slot = Slot::on(&connection);
        self.connections.borrow_mut().push(connection);
        slot
    }

    fn turn(&self) -> Option<Turn<'_>> {
        if let Some(slot) = self.free() {
            return Some(Turn::Begin(slot));
        }
        self.may_grow().then(|| {
            self.is_growing.set(true);
            Turn::Grow(Growth(self))
        })
    }

    /// Whether another connection may be made. Not where the backend takes no stream on one that it has: it
    /// would say the same of the next, and so choose how many we hold.
    fn may_grow(&self) -> bool {
        let connections = self.connections.borrow();
        let mut open = connections.iter().filter(|known| !known.is_closed());
        let is_limited = open.clone().count() >= limits::BACKEND_CONNECTIONS;
        !self.is_growing.get() && !is_limited && !open.any(|known| known.takes_none())
    }

    /// Whether there is nothing to wait for but the end of a stream.
    fn is_full(&self) -> bool {
        !self.is_growing.get() && !self.may_grow()
    }
}

impl Drop for Growth<'_> {
    fn drop(&mut self) {
        self.0.is_growing.set(false);
        // How long they wait may depend on it.
        self.0.queue.wake_all();
    }
}

/// Connections that speak for one client end with it. Those that all share are never dropped before their
/// worker is.
impl Drop for Shared {
    fn drop(&mut self) {
        for connection in self.connections.get_mut() {
            connection.leave();
        }
    }
}

impl Upstreams {
    /// A stream that can begin, on a connection to the backend `index`, or to another if that takes none.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn slot(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        mut index: usize,
    ) -> Result<Slot, Unreachable> {
        loop {
            let _growth = match self.turn((process, service), deadline, index).await? {
                Turn::Begin(slot) => return Ok(slot),
                Turn::Grow(growth) => growth,
            };
            // The one before us may have found that this backend takes no connection, and have
            // made one to another.
            let picked = service.backends.pick_over(index);
            if picked == index {
                let to = (index, self.header.as_deref());
                let begin = async |backend| self.begin((process, service), backend).await;
                let connect = service.backends.connect_and(process, deadline, to, begin);
                let (target, slot) = connect.await?;
                if let Some(slot) = slot {
                    return Ok(slot);
                }
                index = target;
            } else {
                index = picked;
            }
        }
    }

    /// The same, on a connection to the backend `index` and to no other.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn slot_only(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        to: (usize, Option<&[u8]>),
    ) -> Result<Slot, Unreachable> {
        loop {
            let _growth = match self.turn((process, service), deadline, to.0).await? {
                Turn::Begin(slot) => return Ok(slot),
                Turn::Grow(growth) => growth,
            };
            let begin = async |backend| self.begin((process, service), backend).await;
            let (_, slot) = service.backends.connect_only(process, to, begin).await?;
            if let Some(slot) = slot {
                return Ok(slot);
            }
        }
    }

    /// Begins to speak HTTP/2 on a connection, which others may then use too: to which backend it is, and a
    /// stream on it.
    async fn begin(
        &self,
        (process, service): (&Process, &Service),
        backend: Box<Backend>,
    ) -> io::Result<(usize, Option<Slot>)> {
        let target = backend.known.target;
        let shared = &self.multiplexed[target];
        let name = service.backends.name_of(target);
        let connection = begin(process, backend, (name, &shared.queue)).await?;
        Ok((target, shared.add(connection)))
    }

    /// Waits for a stream on a connection to the backend `index`, or the right to make one. Where nobody makes
    /// one, for no longer than for a connection.
    async fn turn(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        index: usize,
    ) -> Result<Turn<'_>, Unreachable> {
        let shared = &self.multiplexed[index];
        let ticket = shared.queue.join();
        let patience = process.timeouts().connect;
        // Who makes one may try each backend.
        let tries = u32::try_from(service.backends.count()).unwrap_or(u32::MAX);
        let tries = tries.saturating_add(1);
        deadline.enter(Phase::Busy, patience.saturating_mul(tries));
        let mut is_full = false;
        let turn = poll_fn(|cx| {
            let polled = ticket.poll(cx, || shared.turn());
            if polled.is_pending() && !is_full && shared.is_full() {
                is_full = true;
                deadline.enter(Phase::Busy, patience);
            }
            polled
        });
        deadline.until(pin!(turn)).await.map_err(Unreachable::from)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::task::{LocalSet, spawn_local};
    #[cfg(feature = "dtls")]
    use underseal_server::descriptors::Reserve;

    use super::*;
    use crate::backend::testing::{address, process};
    use crate::protocol::ToProtocol;
    use crate::service::ServiceSettings;

    /// A server whose connections take one stream each, and count for as long as they last.
    async fn serve(listener: TcpListener, accepted: Rc<Cell<usize>>) {
        while let Ok((tcp, _)) = listener.accept().await {
            accepted.set(accepted.get() + 1);
            spawn_local(async move {
                let mut builder = h2::server::Builder::new();
                builder.max_concurrent_streams(1);
                let connection = builder.handshake::<_, bytes::Bytes>(tcp).await;
                connection.expect("HTTP/2").accept().await.map(drop)
            });
        }
    }

    #[tokio::test]
    async fn a_backend_has_so_many_connections_and_no_more() {
        let tasks = LocalSet::new();
        let test = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let backend = listener.local_addr().expect("an address");
            let accepted = Rc::<Cell<usize>>::default();
            spawn_local(serve(listener, Rc::clone(&accepted)));
            let service = Service::new(Arc::new(ServiceSettings {
                backends: vec![address(vec![backend])],
                health_check: None,
                connector: None,
                client_identity: None,
                to_protocol: ToProtocol::H2,
                host: None,
                send_proxy: false,
                #[cfg(feature = "dtls")]
                dtls_connector: None,
                #[cfg(feature = "dtls")]
                reserve: Reserve::set_up(),
            }));
            let process = process(Duration::from_secs(60));
            let deadline = process.deadlines.add();
            let slot = || service.upstreams.slot((&process, &service), &deadline, 0);
            let mut slots = Vec::new();
            for _ in 0..limits::BACKEND_CONNECTIONS {
                slots.push(slot().await.expect("a stream"));
            }
            let mut waiting = Box::pin(slot());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
            slots.pop();
            slots.push(waiting.await.expect("the one that was given back"));
            assert_eq!(accepted.get(), limits::BACKEND_CONNECTIONS);
        };
        tasks.run_until(test).await;
    }
}
