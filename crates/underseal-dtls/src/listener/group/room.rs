//! How much may wait for a worker, and of whom.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underseal_record::dtls::ConnectionId;

/// What a datagram is counted with beyond its bytes: its place in the memory, and in the inbox.
const OVERHEAD: usize = 128;

/// What steers a datagram to another worker: the peer that it is for, as far as anybody knows before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::listener) enum Steering {
    /// The route of its client.
    Route(SocketAddr),
    /// The connection ID in it.
    Id(ConnectionId),
}

/// Bytes of datagrams that wait. No peer has more of them than is left for all others: one whose datagrams come in a flood, its own
/// or forged, has half of what others leave. Each further flood halves that again: after some seven to ten of them, by the limit,
/// nobody has room until datagrams are taken.
#[derive(Debug)]
pub(super) struct Room {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    /// Of those who have any.
    of: HashMap<Steering, usize>,
}

/// The place of one datagram, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    steering: Steering,
    bytes: usize,
}

impl Room {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let waiting = Mutex::default();
        Arc::new(Self { limit, waiting })
    }

    /// A place for a datagram of `len` bytes, if there is room.
    pub(super) fn place(self: &Arc<Self>, steering: Steering, len: usize) -> Option<Place> {
        let bytes = len + OVERHEAD;
        let mut waiting = self.waiting();
        let all = waiting.all + bytes;
        let of_peer = waiting.of.get(&steering).copied().unwrap_or(0) + bytes;
        if all + of_peer > self.limit {
            return None;
        }
        waiting.all = all;
        waiting.of.insert(steering, of_peer);
        Some(Place {
            room: Arc::clone(self),
            steering,
            bytes,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting();
        waiting.all -= self.bytes;
        if let Some(of_peer) = waiting.of.get_mut(&self.steering) {
            *of_peer -= self.bytes;
            if *of_peer == 0 {
                waiting.of.remove(&self.steering);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Steering {
        Steering::Id(ConnectionId::new(&[byte; 8]).expect("it is short enough"))
    }

    /// Takes places until there is none left.
    fn fill(room: &Arc<Room>, steering: Steering) -> Vec<Place> {
        std::iter::from_fn(|| room.place(steering, 1000)).collect()
    }

    #[test]
    fn each_flood_has_half_of_what_those_before_it_left() {
        const EACH: usize = 1000 + OVERHEAD;
        let room = Room::new(1 << 20);
        let (mut floods, mut left) = (Vec::new(), 1 << 20);
        for peer in 0..6 {
            let flood = fill(&room, id(peer));
            let taken = flood.len() * EACH;
            assert!(
                taken <= left / 2 && taken + EACH > left / 2,
                "{taken} of {left}"
            );
            left -= taken;
            floods.push(flood);
        }
    }

    #[test]
    fn what_was_taken_gives_its_room_back() {
        let room = Room::new(1 << 16);
        let first = fill(&room, id(1));
        let count = first.len();
        assert!(room.place(id(1), 1000).is_none());
        drop(first);
        assert!(room.waiting().of.is_empty());
        assert_eq!(room.waiting().all, 0);
        assert_eq!(fill(&room, id(1)).len(), count);
    }
}
