//! Every way to write, mixed at random over a socket that is full at random, against a model of what
//! the peer sees.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use underseal::message::{
    Filter, Message, MessageDirection, Notify, Peer as Target, RedirectError, Verdict,
};
use underseal::{Direction, Error, KeyUpdateRequest};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, Server, sockets};
use crate::slow_peers::until_done;

const SMALL: usize = 4_096;
const STEPS: usize = 200;

/// A byte of an origin: what is written (0), or what others redirect to the stream (1). A prime, so
/// that whole records that are lost show.
fn byte(origin: usize, n: usize) -> u8 {
    (n % 127) as u8 | (origin << 7) as u8
}

fn pattern(origin: usize, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| byte(origin, n)).collect()
}

/// Nobody waits for room.
struct Nobody;

impl Notify for Nobody {
    fn notify(&self) {}
}

/// Numbers that are the same in each run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn len(&mut self) -> usize {
        match self.below(6) {
            0 => 1 + self.below(70_000),
            _ => 1 + self.below(2_000),
        }
    }
}

struct Writer {
    stream: Server,
    /// Bytes of each origin that were taken.
    taken: [usize; 2],
    numbers: Numbers,
    rekeys: bool,
    has_program: bool,
}

impl Writer {
    fn step(&mut self) {
        let len = self.numbers.len();
        match self.numbers.below(12) {
            0..=4 => self.write(len, |stream, data| stream.write(data)),
            5 => self.write(len, |stream, data| stream.write_more(data)),
            6 => self.write(len, |stream, data| {
                let slices: Vec<_> = data.chunks(1 + data.len() / 7).map(IoSlice::new).collect();
                stream.write_vectored(&slices)
            }),
            7 | 8 => may_wait(self.stream.flush()),
            9 if self.rekeys => {
                may_wait(self.stream.key_update(KeyUpdateRequest::NotRequested));
            }
            10 => self.change_program(),
            11 => self.redirect(len),
            _ => {}
        }
    }

    fn write(&mut self, len: usize, write: impl FnOnce(&mut Server, &[u8]) -> io::Result<usize>) {
        let data = pattern(0, self.taken[0], len);
        match write(&mut self.stream, &data) {
            Ok(n) => self.taken[0] += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    fn redirect(&mut self, len: usize) {
        let bytes = pattern(1, self.taken[1], len.min(SMALL));
        let to = self.stream.redirect_peer(2 * SMALL);
        let notify: Arc<dyn Notify> = Arc::new(Nobody);
        match to.send(MessageDirection::Egress, bytes.as_slice().into(), &notify) {
            Ok(n) => self.taken[1] += n,
            Err(error) => assert_eq!(error, RedirectError::Full),
        }
    }

    fn change_program(&mut self) {
        if !self.has_program {
            let passes = |_: &mut Message<'_>| Verdict::<Target>::Pass;
            self.stream.attach(Filter::egress(passes)).unwrap();
            self.has_program = true;
            return;
        }
        match self.stream.detach(MessageDirection::Egress) {
            Ok(()) => self.has_program = false,
            Err(error) => assert!(matches!(error, Error::ProgramHoldsData(_)), "{error}"),
        }
    }
}

/// A call that may find the socket full.
fn may_wait(result: io::Result<()>) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// Receives one record for each leave to do so, and all when nobody gives any more. Returns how many
/// bytes of each origin came.
fn receive(mut peer: Peer, leave: &Receiver<()>) -> [usize; 2] {
    let mut seen = [0; 2];
    loop {
        let _ = leave.recv();
        match peer.receive().expect("close_notify comes before the end") {
            (APPLICATION_DATA, data) => {
                for came in data {
                    let origin = usize::from(came >> 7);
                    assert_eq!(came, byte(origin, seen[origin]), "{seen:?}");
                    seen[origin] += 1;
                }
            }
            (HANDSHAKE, message) if message == key_update(0) => peer.update_rx(),
            // Tickets.
            (HANDSHAKE, _) => {}
            (ALERT, alert) => {
                assert_eq!(alert, [1, 0]);
                return seen;
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn what_was_taken_arrives_however_it_is_written(case: Case) {
    let rekeys = case.can_update_keys(&[Direction::Tx]);
    for seed in 1..=4 {
        let (ours, theirs) = sockets();
        set_socket_recv_buffer_size(&theirs, SMALL).unwrap();
        let (stream, peer) = case.server_over((ours, theirs));
        set_socket_send_buffer_size(stream.get_ref().0, SMALL).unwrap();
        stream.get_ref().0.set_nonblocking(true).unwrap();
        let (leave, leaves) = channel();
        let peer = thread::spawn(move || receive(peer, &leaves));
        let mut writer = Writer {
            stream,
            taken: [0; 2],
            numbers: Numbers(seed),
            rekeys,
            has_program: false,
        };
        for _ in 0..STEPS {
            writer.step();
            for _ in 0..writer.numbers.below(4) {
                leave.send(()).unwrap();
            }
        }
        drop(leave);
        until_done(&mut writer.stream, |stream| stream.shutdown());
        assert_eq!(writer.stream.engines(), case.engines);
        assert_eq!(peer.join().unwrap(), writer.taken, "seed {seed}");
        assert!(writer.taken.iter().all(|taken| *taken > 0));
    }
}
