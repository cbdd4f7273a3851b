//! Who is served at a socket, and whose datagrams are dropped for a while because they came to nothing.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use tokio::sync::mpsc;

use super::front::Key;

/// Datagrams of a client that wait for its backend; more are dropped.
const QUEUE: usize = 64;
/// How many are known that came to nothing; an address can be anybody's. More are judged again.
const MAX_REFUSED: usize = 1024;

/// The clients of a socket.
#[derive(Default)]
pub(super) struct Clients {
    /// Where the datagrams of each go.
    queues: RefCell<HashMap<Key, mpsc::Sender<Box<[u8]>>>>,
    /// Those that were denied, or had no backend, since the last tick.
    refused: RefCell<HashSet<Key>>,
}

/// A client that is served until this is dropped.
pub(super) struct Served {
    clients: Rc<Clients>,
    key: Key,
    /// Whether anything could be passed for it.
    was_reached: bool,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Waits,
    /// Its client keeps more than it may.
    Full,
    /// Its client came to nothing a moment ago.
    Refused,
    /// Nobody is served who could have sent it.
    Unknown,
}

impl Clients {
    /// Adds a client, and gives what comes of its datagrams.
    pub(super) fn add(self: &Rc<Self>, key: Key) -> (Served, mpsc::Receiver<Box<[u8]>>) {
        let (queue, datagrams) = mpsc::channel(QUEUE);
        self.queues.borrow_mut().insert(key, queue);
        let served = Served {
            clients: Rc::clone(self),
            key,
            was_reached: true,
        };
        (served, datagrams)
    }

    /// Hands a datagram to the client that it came of.
    pub(super) fn queue(&self, key: Key, datagram: &[u8]) -> Queued {
        match self.queues.borrow().get(&key) {
            Some(queue) => match queue.try_send(datagram.into()) {
                Ok(()) => Queued::Waits,
                Err(_) => Queued::Full,
            },
            None if self.refused.borrow().contains(&key) => Queued::Refused,
            None => Queued::Unknown,
        }
    }

    /// Ends what is passed for a client.
    pub(super) fn remove(&self, key: Key) {
        self.queues.borrow_mut().remove(&key);
    }

    /// Has those that came to nothing judged again.
    pub(super) fn forget_refused(&self) {
        self.refused.borrow_mut().clear();
    }
}

impl Served {
    /// Nothing can be passed for it.
    pub(super) fn refuse(&mut self) {
        self.was_reached = false;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.clients.remove(self.key);
        let mut refused = self.clients.refused.borrow_mut();
        if !self.was_reached && refused.len() < MAX_REFUSED {
            refused.insert(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        (([127, 0, 0, 1], port).into(), 0)
    }

    #[test]
    fn a_client_that_came_to_nothing_is_judged_again_after_a_tick() {
        let clients = Rc::<Clients>::default();
        let (mut served, datagrams) = clients.add(key(1));
        assert_eq!(clients.queue(key(1), b"a"), Queued::Waits);
        assert_eq!(clients.queue(key(2), b"a"), Queued::Unknown);
        served.refuse();
        drop((served, datagrams));
        assert_eq!(clients.queue(key(1), b"a"), Queued::Refused);
        clients.forget_refused();
        assert_eq!(clients.queue(key(1), b"a"), Queued::Unknown);
    }

    #[test]
    fn whoever_ended_is_not_kept() {
        let clients = Rc::<Clients>::default();
        for port in 1..=u16::MAX {
            let (mut served, _datagrams) = clients.add(key(port));
            served.refuse();
        }
        assert!(clients.queues.borrow().is_empty());
        assert_eq!(clients.refused.borrow().len(), MAX_REFUSED);
        let (_served, mut datagrams) = clients.add(key(1));
        for _ in 0..QUEUE {
            assert_eq!(clients.queue(key(1), b"a"), Queued::Waits);
        }
        assert_eq!(clients.queue(key(1), b"a"), Queued::Full);
        clients.remove(key(1));
        while datagrams.try_recv().is_ok() {}
        let ended = datagrams.try_recv();
        assert_eq!(ended, Err(mpsc::error::TryRecvError::Disconnected));
    }
}
