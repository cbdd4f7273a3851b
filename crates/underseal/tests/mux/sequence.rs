//! Entry point of the fuzz target `mux`: any sequence of what peers, workers and owners do, one
//! after the other, against a model of each connection.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use underseal::Mux;
use underseal::mux::{Closed, ConnectionId, Framing, Message, Ordering, Reply, ReplyError, Worker};
use underseal_message::{LengthPrefixed, Width};

use crate::peer::{Kind, Peer};
use crate::wire::Wire;

/// Bytes that a message may have.
pub(crate) const MAX: usize = 100;
/// Connections that may be attached at a time.
const CONNECTIONS: usize = 4;

type Endings = Arc<Mutex<Vec<(ConnectionId, Closed)>>>;

struct Sequence<'a> {
    script: std::slice::Iter<'a, u8>,
    mux: Mux,
    worker: Worker,
    endings: Endings,
    peers: Vec<Peer>,
    in_hand: Vec<Reply>,
    most_in_flight: usize,
    reply_limit: usize,
    received: u64,
}

/// Panics where the mux does what it says that it does not.
pub fn run(data: &[u8]) {
    let [ordering, limit, script @ ..] = data else {
        return;
    };
    let most_in_flight = usize::from(ordering % 4);
    let endings = Endings::default();
    let noted = Arc::clone(&endings);
    let reply_limit = usize::from(*limit).max(1);
    let framing = Framing::new(MAX, || LengthPrefixed::new(Width::U8));
    let mux = Mux::builder(framing)
        .ordering(match most_in_flight {
            0 => Ordering::PerConnection,
            _ => Ordering::None,
        })
        .in_flight(most_in_flight)
        .reply_limit(reply_limit)
        .max_connections(CONNECTIONS)
        .on_close(move |id, why| noted.lock().expect("a push").push((id, why.clone())))
        .build();
    let mut sequence = Sequence {
        script: script.iter(),
        worker: mux.worker(),
        mux,
        endings,
        peers: Vec::new(),
        in_hand: Vec::new(),
        most_in_flight: most_in_flight.max(1),
        reply_limit,
        received: 0,
    };
    while let Some(step) = sequence.script.next() {
        sequence.step(*step);
        sequence.note_endings();
    }
    sequence.end();
}

impl Sequence<'_> {
    /// The next number of the script, below `most`.
    fn number(&mut self, most: usize) -> usize {
        usize::from(*self.script.next().unwrap_or(&0)) % most.max(1)
    }

    fn step(&mut self, step: u8) {
        if step.is_multiple_of(12) || self.peers.is_empty() {
            return self.open();
        }
        let chosen = usize::from(step / 12) % self.peers.len();
        match step % 12 {
            1..=3 => self.send(chosen),
            4 => {
                let room = self.number(256);
                self.peers[chosen].wire.change(|ends| ends.room += room);
            }
            5 => self.peers[chosen].wire.change(|ends| ends.has_ended = true),
            6 => self.receive(),
            7 => self.reply(usize::from(step / 12)),
            8 => self.put_down(usize::from(step / 12), true),
            9 if step > 200 => self.put_down(usize::from(step / 12), false),
            9 => self.peers[chosen].close(),
            10 => self.detach(chosen),
            _ if step > 200 => self.peers[chosen].fail(),
            _ => while self.receive_one() {},
        }
    }

    fn open(&mut self) {
        let len = self.number(8);
        let received: Vec<u8> = self.script.by_ref().take(len).copied().collect();
        let wire = Wire::default();
        let open = self.peers.iter().filter(|peer| peer.is_open()).count();
        match self.mux.attach_with(wire.clone(), received.clone()) {
            Ok(attached) => self.peers.push(Peer::new(attached, wire, received)),
            Err(refused) => {
                assert_eq!((open, refused.received), (CONNECTIONS, received));
            }
        }
    }

    fn send(&mut self, chosen: usize) {
        let len = self.number(40);
        let bytes: Vec<u8> = self.script.by_ref().take(len).copied().collect();
        let peer = &mut self.peers[chosen];
        if !peer.wire.ends().has_ended {
            peer.stream.extend_from_slice(&bytes);
            peer.wire.change(|ends| ends.coming.extend(bytes));
        }
    }

    fn receive(&mut self) {
        if !self.receive_one() {
            self.note_endings();
            for peer in self.peers.iter().filter(|peer| peer.is_open()) {
                peer.check_at_rest(self.most_in_flight, self.reply_limit);
            }
            assert_eq!(self.mux.statistics().waiting, 0);
        }
    }

    fn receive_one(&mut self) -> bool {
        let Some(message) = self.worker.try_recv() else {
            return false;
        };
        self.received += 1;
        let most = self.most_in_flight;
        self.peer_of(message.connection())
            .take(message.bytes(), most);
        let (_, reply) = Message::into_parts(message);
        self.in_hand.push(reply);
        true
    }

    fn peer_of(&mut self, id: ConnectionId) -> &mut Peer {
        let peer = self.peers.iter_mut().find(|peer| peer.id == id);
        peer.expect("a connection that was attached")
    }

    fn reply(&mut self, chosen: usize) {
        let len = self.number(256);
        if self.in_hand.is_empty() {
            return;
        }
        let chosen = chosen % self.in_hand.len();
        let bytes = vec![len as u8; len];
        let sent = self.in_hand[chosen].try_send(&bytes);
        let id = self.in_hand[chosen].connection();
        self.note_endings();
        let limit = self.reply_limit;
        let peer = self.peer_of(id);
        match sent {
            Ok(()) => peer.replied(&bytes, limit),
            Err(ReplyError::Full) => assert!(peer.is_open() && peer.waiting() >= limit),
            Err(_) => assert!(!peer.is_open()),
        }
    }

    fn put_down(&mut self, chosen: usize, is_finished: bool) {
        if self.in_hand.is_empty() {
            return;
        }
        let reply = self.in_hand.swap_remove(chosen % self.in_hand.len());
        let peer = self.peer_of(reply.connection());
        peer.in_hand -= 1;
        if is_finished {
            return reply.finish();
        }
        peer.was_dropped = true;
        let id = peer.id;
        drop(reply);
        self.note_endings();
        assert!(!self.peer_of(id).is_open(), "what nobody answers is open");
    }

    /// Asks for the stream once, and is content without it.
    fn detach(&mut self, chosen: usize) {
        let peer = &mut self.peers[chosen];
        let Some(attached) = peer.attached.take() else {
            return;
        };
        let asked = {
            let detaching = pin!(attached.detach());
            detaching.poll(&mut Context::from_waker(Waker::noop()))
        };
        match asked {
            Poll::Ready(Ok(detached)) => peer.detached(&detached.received),
            Poll::Ready(Err(_)) => {
                self.note_endings();
                assert!(!self.peers[chosen].is_open());
            }
            Poll::Pending => {}
        }
    }

    fn note_endings(&mut self) {
        let endings = std::mem::take(&mut *self.endings.lock().expect("a push"));
        for (id, why) in endings {
            self.peer_of(id).ended(&why);
        }
    }

    /// Everything is dropped in the midst of it.
    fn end(mut self) {
        let statistics = self.mux.statistics();
        let count = |kind| self.peers.iter().filter(|peer| peer.kind == kind).count() as u64;
        assert_eq!(statistics.attached, self.peers.len() as u64);
        assert_eq!(statistics.detached, count(Kind::Detached));
        assert_eq!(statistics.closed, count(Kind::Closed));
        assert_eq!(statistics.rx_messages, self.received);
        drop((self.mux, self.worker, self.in_hand));
        for (id, _) in self.endings.lock().expect("a push").drain(..) {
            let peer = self.peers.iter_mut().find(|peer| peer.id == id);
            peer.expect("it was attached").kind = Kind::Closed;
        }
        let is_over = |peer: &Peer| !peer.is_open();
        assert!(self.peers.iter().all(is_over), "a connection is left");
        drop(self.peers);
        assert_eq!(Arc::strong_count(&self.endings), 1, "the mux is kept");
    }
}
