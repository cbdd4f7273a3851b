//! Several listeners of one address, each with a socket and a worker of its own, and who of them has
//! which client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;
use underseal_record::dtls::{ClientHello, ConnectionId};
use underseal_sys::udp::Path;

/// Datagrams that wait for a worker; more are dropped.
const INBOX: usize = 256;

/// Picks the worker for a new association, by the client's address and its ClientHello.
pub(super) type Pick = dyn Fn(SocketAddr, &ClientHello<'_>) -> usize + Send + Sync;

/// A datagram that another worker's socket has received.
pub(super) struct Steered {
    pub(super) path: Path,
    pub(super) datagram: Vec<u8>,
}

pub(super) type Inbox = mpsc::Receiver<Steered>;

struct Group {
    pick: Box<Pick>,
    inboxes: Vec<mpsc::Sender<Steered>>,
    /// Clients whose worker is another than the kernel's choice.
    routes: RwLock<HashMap<SocketAddr, usize>>,
    /// Who has the associations that are found by a connection ID: from whatever address their datagrams come, the
    /// kernel gives them to a worker that knows nothing of them.
    ids: RwLock<HashMap<ConnectionId, usize>>,
}

/// A worker's place in a group.
pub(super) struct Member {
    index: usize,
    group: Arc<Group>,
}

/// As many members as `count`, and their inboxes.
pub(super) fn members(count: usize, pick: Box<Pick>) -> Vec<(Member, Inbox)> {
    let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(INBOX)).unzip();
    let group = Arc::new(Group {
        pick,
        inboxes,
        routes: RwLock::default(),
        ids: RwLock::default(),
    });
    let member = |(index, inbox)| {
        let group = Arc::clone(&group);
        (Member { index, group }, inbox)
    };
    receivers.into_iter().enumerate().map(member).collect()
}

impl Member {
    /// The other worker that has this client.
    pub(super) fn elsewhere(&self, from: SocketAddr) -> Option<usize> {
        let routes = self.group.routes.read();
        let worker = *routes.unwrap_or_else(PoisonError::into_inner).get(&from)?;
        (worker != self.index).then_some(worker)
    }

    /// The other worker that has the association with this connection ID.
    pub(super) fn elsewhere_by_id(&self, id: &ConnectionId) -> Option<usize> {
        let ids = self.group.ids.read();
        let worker = *ids.unwrap_or_else(PoisonError::into_inner).get(id)?;
        (worker != self.index).then_some(worker)
    }

    /// Takes a connection ID for this worker. Returns whether no other one has it.
    pub(super) fn take_id(&self, id: ConnectionId) -> bool {
        let ids = self.group.ids.write();
        let mut ids = ids.unwrap_or_else(PoisonError::into_inner);
        *ids.entry(id).or_insert(self.index) == self.index
    }

    /// The connection ID is nobody's any more.
    pub(super) fn forget_id(&self, id: &ConnectionId) {
        let ids = self.group.ids.write();
        ids.unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Picks the worker for a client; the other one, if it is not this one.
    pub(super) fn pick(&self, from: SocketAddr, hello: &ClientHello<'_>) -> Option<usize> {
        let worker = (self.group.pick)(from, hello) % self.group.inboxes.len();
        if worker == self.index {
            return None;
        }
        let routes = self.group.routes.write();
        let mut routes = routes.unwrap_or_else(PoisonError::into_inner);
        routes.insert(from, worker);
        Some(worker)
    }

    /// Hands a datagram to another worker. Returns whether it has room for it.
    pub(super) fn forward(&self, worker: usize, path: Path, datagram: &[u8]) -> bool {
        let inbox = &self.group.inboxes[worker];
        let Ok(place) = inbox.try_reserve() else {
            return false;
        };
        let datagram = datagram.to_vec();
        place.send(Steered { path, datagram });
        true
    }

    /// No worker has this client, whoever was picked.
    pub(super) fn give_up(&self, from: SocketAddr) {
        let routes = self.group.routes.write();
        routes.unwrap_or_else(PoisonError::into_inner).remove(&from);
    }

    /// The client is nobody's any more, if it was this worker's.
    pub(super) fn forget(&self, from: SocketAddr) {
        if self.has(from) {
            self.give_up(from);
        }
    }

    /// Whether this worker was picked for the client, whatever the kernel's choice is.
    pub(super) fn has(&self, from: SocketAddr) -> bool {
        let routes = self.group.routes.read();
        let routes = routes.unwrap_or_else(PoisonError::into_inner);
        routes.get(&from) == Some(&self.index)
    }
}
