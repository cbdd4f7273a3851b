//! The associations behind one socket, and what finds the one that a datagram is for.

use std::collections::HashMap;
use std::net::SocketAddr;

use underseal_record::dtls::ConnectionId;

use super::peer::DtlsPeer;

/// Found by the peer's address, or by the connection ID that this side chose: never by both, since
/// records of an association with a connection ID have to carry it (RFC 9146 section 3).
#[derive(Debug, Default)]
pub(super) struct Table {
    by_address: HashMap<SocketAddr, DtlsPeer>,
    by_id: HashMap<ConnectionId, DtlsPeer>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_address.len() + self.by_id.len()
    }

    pub(super) fn at(&self, address: SocketAddr) -> Option<&DtlsPeer> {
        self.by_address.get(&address)
    }

    pub(super) fn with_id(&self, id: &ConnectionId) -> Option<&DtlsPeer> {
        self.by_id.get(id)
    }

    /// Adds an association, and gives back the one that it takes the place of.
    pub(super) fn insert(&mut self, peer: DtlsPeer) -> Option<DtlsPeer> {
        match peer.receive_id().is_empty() {
            true => self.by_address.insert(peer.address(), peer),
            false => self.by_id.insert(*peer.receive_id(), peer),
        }
    }

    pub(super) fn remove(&mut self, peer: &DtlsPeer) {
        match peer.receive_id().is_empty() {
            true => self.by_address.remove(&peer.address()),
            false => self.by_id.remove(peer.receive_id()),
        };
    }

    /// Removes those of which `is_over` says so.
    pub(super) fn sweep(&mut self, mut is_over: impl FnMut(&DtlsPeer) -> bool) {
        self.by_address.retain(|_, peer| !is_over(peer));
        self.by_id.retain(|_, peer| !is_over(peer));
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &DtlsPeer> {
        self.by_address.values().chain(self.by_id.values())
    }
}
