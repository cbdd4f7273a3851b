//! Several listeners of one address, each with a socket and a worker of its own, and who of them has
//! which client.

mod room;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::mpsc;
use underseal_record::dtls::{ClientHello, ConnectionId};
use underseal_sys::udp::Path;

use self::room::{Place, Room};

pub(super) use self::room::Steering;

/// Most bytes that wait for a worker, of datagrams whose client was routed to it; more are dropped.
const ROUTED: usize = 1 << 20;
/// The same of datagrams that a connection ID alone steers. Whoever has seen the ID sends such in any number and from
/// any address: they take no place from the others.
const BY_ID: usize = 1 << 18;

/// Picks the worker for a new association, by the client's address and its ClientHello.
pub(super) type Pick = dyn Fn(SocketAddr, &ClientHello<'_>) -> usize + Send + Sync;

/// A datagram that another worker's socket has received.
pub(super) struct Steered {
    pub(super) path: Path,
    pub(super) datagram: Vec<u8>,
    _place: Place,
}

pub(super) type Inbox = mpsc::UnboundedReceiver<Steered>;

/// The way to a worker's inbox, which its shares bound.
struct Outlet {
    sender: mpsc::UnboundedSender<Steered>,
    routed: Arc<Room>,
    by_id: Arc<Room>,
}

struct Group {
    pick: Box<Pick>,
    outlets: Vec<Outlet>,
    /// Who has, or shall have, the clients that are found by their address, as far as it was asked.
    routes: RwLock<HashMap<SocketAddr, usize>>,
    /// Who has the associations that are found by a connection ID: from whatever address their datagrams come, the
    /// kernel gives them to a worker that knows nothing of them.
    ids: RwLock<HashMap<ConnectionId, usize>>,
}

/// A worker's place in a group. What it has is nobody's when it is dropped.
pub(super) struct Member {
    index: usize,
    group: Arc<Group>,
}

/// As many members as `count`, and their inboxes.
pub(super) fn members(count: usize, pick: Box<Pick>) -> Vec<(Member, Inbox)> {
    let (outlets, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| Outlet::new()).unzip();
    let group = Arc::new(Group {
        pick,
        outlets,
        routes: RwLock::default(),
        ids: RwLock::default(),
    });
    let member = |(index, inbox)| {
        let group = Arc::clone(&group);
        (Member { index, group }, inbox)
    };
    inboxes.into_iter().enumerate().map(member).collect()
}

impl Outlet {
    fn new() -> (Self, Inbox) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let outlet = Self {
            sender,
            routed: Room::new(ROUTED),
            by_id: Room::new(BY_ID),
        };
        (outlet, inbox)
    }

    /// A place for a datagram of `len` bytes, if there is room.
    fn place(&self, steering: Steering, len: usize) -> Option<Place> {
        let room = match steering {
            Steering::Route(_) => &self.routed,
            Steering::Id(_) => &self.by_id,
        };
        room.place(steering, len)
    }
}

impl Group {
    /// Removes the route of a client, if it is to `worker`: another one may have been made meanwhile.
    fn forget(&self, from: SocketAddr, worker: usize) {
        let is_its = |worker_of: Option<&usize>| worker_of == Some(&worker);
        // Strangers ask this: none of them keeps the other workers waiting.
        if !is_its(self.routes().get(&from)) {
            return;
        }
        let mut routes = self.routes_mut();
        if is_its(routes.get(&from)) {
            routes.remove(&from);
        }
    }

    fn routes(&self) -> RwLockReadGuard<'_, HashMap<SocketAddr, usize>> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes_mut(&self) -> RwLockWriteGuard<'_, HashMap<SocketAddr, usize>> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ids(&self) -> RwLockReadGuard<'_, HashMap<ConnectionId, usize>> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ids_mut(&self) -> RwLockWriteGuard<'_, HashMap<ConnectionId, usize>> {
        self.ids.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// The other worker that has this client.
    pub(super) fn elsewhere(&self, from: SocketAddr) -> Option<usize> {
        let worker = *self.group.routes().get(&from)?;
        (worker != self.index).then_some(worker)
    }

    /// The other worker that has the association with this connection ID.
    pub(super) fn elsewhere_by_id(&self, id: &ConnectionId) -> Option<usize> {
        let worker = *self.group.ids().get(id)?;
        (worker != self.index).then_some(worker)
    }

    /// Takes a connection ID for this worker. Returns whether no other one has it.
    pub(super) fn take_id(&self, id: ConnectionId) -> bool {
        let mut ids = self.group.ids_mut();
        *ids.entry(id).or_insert(self.index) == self.index
    }

    /// The connection ID is nobody's any more, if it was this worker's.
    pub(super) fn forget_id(&self, id: &ConnectionId) {
        let mut ids = self.group.ids_mut();
        if ids.get(id) == Some(&self.index) {
            ids.remove(id);
        }
    }

    /// Picks the worker for a client; the other one, if it is not this one. Clients of a worker that is gone are whose
    /// the kernel says.
    pub(super) fn pick(&self, from: SocketAddr, hello: &ClientHello<'_>) -> Option<usize> {
        let worker = (self.group.pick)(from, hello) % self.group.outlets.len();
        if worker == self.index || self.group.outlets[worker].sender.is_closed() {
            return None;
        }
        self.group.routes_mut().insert(from, worker);
        Some(worker)
    }

    /// Hands a datagram to another worker. Returns whether it has room for it.
    pub(super) fn forward(
        &self,
        worker: usize,
        steering: Steering,
        path: Path,
        datagram: &[u8],
    ) -> bool {
        let outlet = &self.group.outlets[worker];
        let Some(place) = outlet.place(steering, datagram.len()) else {
            return false;
        };
        let steered = Steered {
            path,
            datagram: datagram.to_vec(),
            _place: place,
        };
        let is_there = outlet.sender.send(steered).is_ok();
        if !is_there {
            self.group.forget(path.peer, worker);
        }
        is_there
    }

    /// No worker has this client, although `worker` was picked.
    pub(super) fn give_up(&self, from: SocketAddr, worker: usize) {
        self.group.forget(from, worker);
    }

    /// This worker has the client, whoever was picked, and whatever the kernel's choice is.
    pub(super) fn claim(&self, from: SocketAddr) {
        self.group.routes_mut().insert(from, self.index);
    }

    /// The client is nobody's any more, if it was this worker's.
    pub(super) fn forget(&self, from: SocketAddr) {
        self.group.forget(from, self.index);
    }

    /// Whether this worker was picked for the client, whatever the kernel's choice is.
    pub(super) fn has(&self, from: SocketAddr) -> bool {
        self.group.routes().get(&from) == Some(&self.index)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let is_others = |worker: usize| worker != self.index;
        self.group
            .routes_mut()
            .retain(|_, worker| is_others(*worker));
        self.group.ids_mut().retain(|_, worker| is_others(*worker));
    }
}

#[cfg(test)]
mod tests;
