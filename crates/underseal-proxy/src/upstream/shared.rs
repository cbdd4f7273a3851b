//! The connections to one backend of HTTP/2, and who gets a stream on them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use super::Upstreams;
use super::multiplexed::{Connection, begin};
use super::queue::Queue;
use crate::backend::{Backend, Failure, Trial, Unreachable};
use crate::http2::active::Open;
use crate::http2::limits;
use crate::process::Process;
use crate::service::Service;
use underseal_server::deadline::Deadline;

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
        connection.lets_begin().then(|| {
            let open = connection.active.open();
            connection.active.wake();
            Self {
                connection: Rc::clone(connection),
                _open: open,
            }
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
    fn add(&self, connection: &Rc<Connection>) -> Option<Slot> {
        let slot = Slot::on(connection);
        self.connections.borrow_mut().push(Rc::clone(connection));
        slot
    }

    fn offered(&self) -> Option<Turn<'_>> {
        if let Some(slot) = self.free() {
            return Some(Turn::Begin(slot));
        }
        let may_grow = !self.is_growing.get() && self.may_have_another();
        may_grow.then(|| {
            self.is_growing.set(true);
            Turn::Grow(Growth(self))
        })
    }

    /// Whether the backend may have another connection. Not where it takes no stream on one that it has: it
    /// would say the same of the next, and so choose how many we hold.
    fn may_have_another(&self) -> bool {
        let connections = self.connections.borrow();
        let mut open = connections.iter().filter(|known| !known.is_closed());
        let is_limited = open.clone().count() >= limits::BACKEND_CONNECTIONS;
        !is_limited && !open.any(|known| known.takes_none())
    }

    /// Waits for a stream, or the right to make a connection.
    async fn turn(&self) -> Turn<'_> {
        let ticket = self.queue.join();
        poll_fn(|cx| ticket.poll(cx, || self.offered())).await
    }
}

impl Drop for Growth<'_> {
    fn drop(&mut self) {
        self.0.is_growing.set(false);
        self.0.queue.wake_first();
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

/// Why a connection ended on which no stream was taken.
fn unused(process: &Process) -> Failure {
    let why = match process.deadlines.closing() {
        // Then we end what has no streams.
        true => Unreachable::Ended,
        false => Unreachable::Refused,
    };
    let error = io::Error::other("ended a connection on which it took no stream");
    (why, error)
}

impl Upstreams {
    /// A stream that can begin, on a connection to the backend `index`, or to another if that has none. Each
    /// has `--connect-timeout` for it, be it that others' streams end or that it takes a connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn slot(
        &self,
        (process, service): (&Process, &Service),
        deadline: &Deadline,
        index: usize,
    ) -> Result<Slot, Unreachable> {
        let open = async |trial: &Trial<'_>| self.slot_of((process, service), trial).await;
        let backends = &service.backends;
        backends.connect_by(process, deadline, index, open).await
    }

    /// The same, of the backend of `trial`, for as long as that takes.
    async fn slot_of(
        &self,
        (process, service): (&Process, &Service),
        trial: &Trial<'_>,
    ) -> Result<Slot, Failure> {
        let (index, header) = (trial.index(), self.header.as_deref());
        let backends = &service.backends;
        let begin = async |backend| self.begin((process, service), backend).await;
        let failures = backends.failures(index);
        let mut made: Option<Rc<Connection>> = None;
        loop {
            let _growth = match self.multiplexed[index].turn().await {
                Turn::Begin(slot) => return Ok(slot),
                Turn::Grow(growth) => growth,
            };
            if made.is_some_and(|made| made.is_closed()) {
                // The same would come of the next.
                return Err(unused(process));
            }
            if backends.failures(index) > failures && backends.pick_over(index) != index {
                // Each who waits would find out once more what the first has, one after the other.
                let error = io::Error::other("passed over: it has just failed");
                return Err((Unreachable::Lacking, error));
            }
            let opened = backends.open_and(process, trial, header, &begin).await?;
            let (connection, slot) = opened;
            if let Some(slot) = slot {
                return Ok(slot);
            }
            made = Some(connection);
        }
    }

    /// A stream on a connection to the backend `index` and to no other, ahead of those who wait for one: on a
    /// connection of its own, if need be.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn slot_only(
        &self,
        (process, service): (&Process, &Service),
        to: (usize, Option<&[u8]>),
    ) -> Result<Slot, Unreachable> {
        let shared = &self.multiplexed[to.0];
        if let Some(slot) = shared.at_hand() {
            return Ok(slot);
        }
        if !shared.may_have_another() {
            return Err(Unreachable::Lacking);
        }
        let begin = async |backend| self.begin((process, service), backend).await;
        let (_, slot) = service.backends.connect_only(process, to, begin).await?;
        slot.ok_or(Unreachable::Lacking)
    }

    /// Begins to speak HTTP/2 on a connection, which others may then use too, and a stream on it.
    async fn begin(
        &self,
        (process, service): (&Process, &Service),
        backend: Box<Backend>,
    ) -> io::Result<(Rc<Connection>, Option<Slot>)> {
        let target = backend.known.target;
        let shared = &self.multiplexed[target];
        let name = service.backends.name_of(target);
        let connection = begin(process, backend, (name, &shared.queue)).await?;
        let slot = shared.add(&connection);
        Ok((connection, slot))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::uri::Scheme;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;
    use crate::backend::Backends;
    use crate::backend::testing::{address, process};
    use crate::exchange::testing::outgoing;
    use crate::exchange::{Allowed, Unanswered};
    use crate::upstream::{Reached, Sends, Upstream};

    /// A stream of a connection that has ended since.
    async fn slot_of_ended(process: &Process) -> Slot {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let (end, told) = oneshot::channel();
        spawn_local(async move {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let connection = h2::server::handshake(tcp).await.expect("HTTP/2");
            told.await.expect("the test goes on");
            drop(connection);
        });
        let backends = Backends::new(&[address(vec![at])], None, None);
        let deadline = process.deadlines.add();
        let backend = backends.connect(process, &deadline, 0, None).await;
        let backend = backend.expect("a connection");
        let begun = begin(process, backend, ("a", &Rc::default())).await;
        let connection = begun.expect("HTTP/2");
        let slot = Slot::on(&connection).expect("a stream");
        end.send(()).expect("it waits");
        while !connection.is_closed() {
            yield_now().await;
        }
        slot
    }

    #[tokio::test]
    async fn a_connection_that_ends_in_the_moment_of_its_use_took_no_request() {
        let process = process(Duration::from_secs(60));
        let slot = LocalSet::new().run_until(slot_of_ended(&process)).await;
        let outgoing = outgoing(b"GET");
        let request = (Allowed::own(&outgoing, 0), &Scheme::HTTP);
        let begun = Upstream::begin(&process, Reached::Http2(slot), request, Sends::Nothing);
        let lost = begun.err().expect("no stream");
        assert_eq!(lost.why, Unanswered::Unprocessed);
        // Whatever its client speaks.
        assert_eq!(
            (lost.fault.status(), lost.fault.word()),
            (503, "backend-refused")
        );
    }
}
