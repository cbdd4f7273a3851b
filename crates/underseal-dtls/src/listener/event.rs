use std::collections::VecDeque;
use std::net::SocketAddr;

use underseal_sys::udp::Path;

use super::DtlsPeer;
use super::counters::ListenerTally;
use super::handshake::Agreed;
use crate::Error;
use crate::association::{Delivered, EarlyRecord, copy};

/// What happened behind a listener's socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A handshake is over, and its association begins.
    Established(Established),
    /// `len` bytes of a payload were copied to the buffer; what did not fit is lost.
    #[non_exhaustive]
    Datagram {
        /// Whose payload it is.
        peer: DtlsPeer,
        /// Where the datagram came from: another address than [`DtlsPeer::address`] where the peer has
        /// moved, and was found by its connection ID.
        from: SocketAddr,
        /// Whether no datagram of the peer's that was sent later has come before: only where one is the newest
        /// may its address be the peer's new one (RFC 9146 section 6).
        is_newest: bool,
        /// Bytes of it in the buffer.
        len: usize,
    },
    /// An association is over, and was forgotten.
    #[non_exhaustive]
    Ended {
        /// Whose it was.
        peer: DtlsPeer,
        /// [`Error::ClosedByPeer`], [`Error::AlertReceived`], [`Error::IntegrityLimit`], [`Error::Closed`],
        /// [`Error::Silent`] or [`Error::Replaced`]; [`Error::Denied`] where a program on what is received has
        /// panicked or ended the stream; [`Error::Record`] where the peer sent a message that it may not send.
        why: Error,
    },
    /// A handshake failed.
    #[non_exhaustive]
    HandshakeFailed {
        /// The client's address, at which it receives.
        address: SocketAddr,
        /// What OpenSSL says, or why the outcome is not for this crate.
        why: Error,
    },
}

/// A new association.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The other end of it.
    pub peer: DtlsPeer,
    /// The server name that the client asked for (RFC 6066 section 3).
    pub server_name: Option<String>,
    /// The cipher suite, by its IANA name.
    pub cipher_suite: Option<&'static str>,
    /// The client's certificate in DER, which OpenSSL has verified as its context says.
    pub certificate: Option<Vec<u8>>,
}

impl Established {
    pub(super) fn new(peer: DtlsPeer, agreed: Agreed) -> Self {
        Self {
            peer,
            server_name: agreed.server_name,
            cipher_suite: agreed.cipher_suite,
            certificate: agreed.certificate,
        }
    }
}

/// Whose payload it is, and how it came.
pub(super) struct Origin {
    pub(super) peer: DtlsPeer,
    pub(super) from: SocketAddr,
    pub(super) is_newest: bool,
}

impl Origin {
    pub(super) fn datagram(self, len: usize) -> Event {
        Event::Datagram {
            peer: self.peer,
            from: self.from,
            is_newest: self.is_newest,
            len,
        }
    }
}

/// What is to be told when the application comes for it.
pub(super) enum Pending {
    Event(Event),
    /// A payload that is in the buffer of the call that is being made.
    Copied(Origin, usize),
    /// One for which there was no room there.
    Held(Origin, Vec<u8>),
    /// A record that came before the end of the handshake: it is the association's once the application knows of
    /// that.
    Early(DtlsPeer, Path, EarlyRecord),
}

/// What is done with each payload that is opened for `peer`: the first that is pending is copied to `buffer`.
pub(super) fn delivery<'a>(
    pending: &'a mut VecDeque<Pending>,
    tally: &'a ListenerTally,
    peer: &'a DtlsPeer,
    path: Path,
    buffer: &'a mut [u8],
) -> impl FnMut(Delivered<'_>, &mut VecDeque<Vec<u8>>) + 'a {
    move |delivered, _| {
        let Delivered {
            payload, is_newest, ..
        } = delivered;
        let from = path.peer;
        peer.touch();
        if is_newest {
            peer.came_by(path);
        }
        if from != peer.address() {
            tally.moved.one();
        }
        let origin = Origin {
            peer: peer.clone(),
            from,
            is_newest,
        };
        pending.push_back(match pending.is_empty() {
            true => Pending::Copied(origin, copy(payload, buffer)),
            false => Pending::Held(origin, payload.to_vec()),
        });
    }
}

/// Puts what is pending `behind` what was made before it, which is little: the others stay where they are in the memory.
pub(super) fn put_behind<T>(made: &mut VecDeque<T>, behind: VecDeque<T>) {
    let pending = made;
    let made = std::mem::replace(pending, behind);
    made.into_iter()
        .rev()
        .for_each(|one| pending.push_front(one));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake may leave thousands of early records, each of which is made something of.
    #[test]
    fn what_is_put_behind_something_is_not_moved() {
        let mut behind: VecDeque<usize> = (0..1000).collect();
        let first = behind.pop_front();
        let place = std::ptr::from_ref(&behind[500]);
        let mut pending: VecDeque<_> = first.into_iter().collect();
        put_behind(&mut pending, behind);
        assert!(pending.iter().copied().eq(0..1000));
        assert_eq!(std::ptr::from_ref(&pending[501]), place);
    }
}
