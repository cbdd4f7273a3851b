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

    /// Whether the association is here, and not another one in its place.
    pub(super) fn has(&self, peer: &DtlsPeer) -> bool {
        let there = match peer.receive_id().is_empty() {
            true => self.at(peer.address()),
            false => self.with_id(peer.receive_id()),
        };
        there == Some(peer)
    }

    /// Removes an association, and none that has taken its place. Returns whether it was here.
    pub(super) fn remove(&mut self, peer: &DtlsPeer) -> bool {
        let is_here = self.has(peer);
        if is_here {
            match peer.receive_id().is_empty() {
                true => self.by_address.remove(&peer.address()),
                false => self.by_id.remove(peer.receive_id()),
            };
        }
        is_here
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

#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod tests {
    use std::sync::{Arc, Weak};

    use underseal_record::dtls::ReplayWindow;

    use super::*;
    use crate::association::Association;
    use crate::testing::keys;
    use crate::{ConnectionIds, Parts};

    /// An association at one address, or with one connection ID.
    fn peer(number: u64, receive: ConnectionId) -> DtlsPeer {
        let parts = Parts::new(keys(0), keys(1), ReplayWindow::default());
        let (send, tally) = (ConnectionId::EMPTY, Arc::default());
        let (engines, ids) = (parts.into_engines(), ConnectionIds { receive, send });
        let association = Association::counted_by(tally, engines, ids, Vec::new());
        let path = SocketAddr::from(([192, 0, 2, 1], 9)).into();
        DtlsPeer::new(association, Weak::new(), path, number, receive, None)
    }

    #[test]
    fn an_association_that_is_over_leaves_the_one_that_took_its_place() {
        let id = ConnectionId::new(b"of ours!").expect("it is short enough");
        for receive in [ConnectionId::EMPTY, id] {
            let (mut table, older, newer) = (Table::default(), peer(1, receive), peer(2, receive));
            table.insert(older.clone());
            assert_eq!(table.insert(newer.clone()), Some(older.clone()));
            assert!(!table.remove(&older));
            assert!(table.has(&newer));
            assert!(table.remove(&newer));
            assert_eq!(table.len(), 0);
        }
    }
}
