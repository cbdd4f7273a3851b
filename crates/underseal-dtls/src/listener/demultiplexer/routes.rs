//! Which worker of a group a datagram goes to, and whose a client is.

use std::net::SocketAddr;

use underseal_record::dtls::ClientHello;
use underseal_sys::udp::Path;

use super::Demultiplexer;
use crate::Unadmitted;
use crate::listener::group::Steering;

impl Demultiplexer {
    /// What is for nobody here is dropped, or another worker's.
    pub(super) fn elsewhere(&mut self, path: Path, datagram: &[u8], reason: Unadmitted) {
        let member = self.member.as_ref();
        match member.and_then(|member| member.elsewhere(path.peer)) {
            Some(worker) => {
                self.forward(worker, Steering::Route(path.peer), path, datagram);
            }
            None => self.tally.unadmitted(reason),
        }
    }

    /// Hands a datagram to another worker. Returns whether that one has room for it.
    pub(super) fn forward(
        &self,
        worker: usize,
        steering: Steering,
        path: Path,
        datagram: &[u8],
    ) -> bool {
        let member = self.member.as_ref();
        let is_taken =
            member.is_some_and(|member| member.forward(worker, steering, path, datagram));
        if !is_taken {
            self.tally.unadmitted(Unadmitted::Worker);
        }
        is_taken
    }

    /// Hands a client on to the other worker that has, or shall have, it; `false` if it is this one's.
    /// Routes are made for clients alone that receive at their address; who has the client removes them.
    pub(super) fn hand_on(&self, path: Path, hello: &ClientHello<'_>, datagram: &[u8]) -> bool {
        let from = path.peer;
        let Some(member) = self.member.as_ref().filter(|member| !member.has(from)) else {
            return false;
        };
        if let Some(worker) = member.elsewhere(from) {
            self.forward(worker, Steering::Route(path.peer), path, datagram);
            return true;
        }
        let Some(worker) = member.pick(from, hello) else {
            return false;
        };
        if !self.forward(worker, Steering::Route(path.peer), path, datagram) {
            // That worker does not know of the client.
            member.give_up(from, worker);
        }
        true
    }

    /// Has what a client sends come here, whichever worker the kernel gives it to. The route that brought its hello
    /// may have ended with an older association while the hello waited.
    pub(super) fn claim(&self, address: SocketAddr) {
        if let Some(member) = &self.member {
            member.claim(address);
        }
    }

    /// Gives up the route of a client, unless something else of it is here: what was may end while its
    /// next handshake is under way.
    pub(super) fn forget(&self, address: SocketAddr) {
        if let Some(member) = &self.member
            && self.table.at(address).is_none()
            && !self.handshakes.contains_key(&address)
        {
            member.forget(address);
        }
    }
}
