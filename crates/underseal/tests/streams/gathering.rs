//! Small writes while the socket is full: they are sealed behind what waits, and go out together.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal::{KeyUpdateRequest, ServerConnection, blocking};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{Pipe, RecordPeer, Suite};

use crate::pairs::{accept_over, pattern};

/// Ciphertext that may wait while small writes are taken.
const BOUND: usize = 64 * 1024;

/// What a socket has room for, and how often it took something.
#[derive(Default)]
struct Room {
    bytes: Cell<usize>,
    calls: Cell<usize>,
}

/// A pipe that takes as many bytes as it is told.
struct Narrow {
    pipe: Pipe,
    room: Rc<Room>,
}

impl Read for Narrow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pipe.read(buf)
    }
}

impl Write for Narrow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = buf.len().min(self.room.bytes.get());
        if len == 0 && !buf.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = self.pipe.write(&buf[..len])?;
        self.room.bytes.set(self.room.bytes.get() - taken);
        self.room.calls.set(self.room.calls.get() + 1);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

type Stream = blocking::TlsStream<Narrow, ServerConnection>;

fn narrow(suite: Suite) -> (Stream, RecordPeer<Pipe>, Rc<Room>) {
    let room = Rc::new(Room::default());
    room.bytes.set(usize::MAX);
    let below = Rc::clone(&room);
    let (stream, peer) = accept_over(suite, 1 << 24, |pipe| Narrow { pipe, room: below });
    room.calls.set(0);
    (stream, peer, room)
}

/// Writes until the stream says that it is full, or all is taken.
fn write_some(stream: &mut Stream, mut data: &[u8]) -> usize {
    let all = data.len();
    while !data.is_empty() {
        match stream.write(data) {
            Ok(n) => data = &data[n..],
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    all - data.len()
}

#[test]
fn small_writes_wait_together_up_to_a_bound_and_go_out_together() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer, room) = narrow(suite);
        room.bytes.set(0);
        let message = pattern(1000);
        let mut sent = 0;
        while write_some(&mut stream, &message) > 0 {
            sent += 1;
            assert!(stream.pending_bytes() <= BOUND + 100, "{suite:?}");
        }
        assert!(stream.pending_bytes() > BOUND - 2000, "{suite:?}");
        assert_eq!(stream.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
        room.bytes.set(usize::MAX);
        stream.flush().unwrap();
        assert_eq!(room.calls.get(), 1, "{suite:?}");
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (message.repeat(sent), true));
    }
}

/// Be it that it was asked for before, or that nothing was sent since.
#[test]
fn a_bound_that_was_asked_for_holds_after_a_move() {
    for obeys in [true, false] {
        let (mut stream, _peer, room) = narrow(Suite::Tls13Aes128);
        stream.get_mut().1.set_buffer_limit(Some(1));
        if obeys {
            stream.flush().unwrap();
        }
        let mut stream = Stream::from_parts(stream.into_parts().unwrap()).unwrap();
        room.bytes.set(0);
        let taken = write_some(&mut stream, &pattern(40_000));
        assert_eq!(taken, 16_384, "one record is always taken: {obeys}");
    }
}

/// What takes more than a record has a batch of its own: to copy it behind what waits gains nothing.
#[test]
fn a_large_write_waits_for_the_socket() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer, room) = narrow(suite);
        room.bytes.set(0);
        assert_eq!(write_some(&mut stream, b"small"), 5);
        let error = stream.write(&pattern(20_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        room.bytes.set(usize::MAX);
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"small".to_vec(), true));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Vectored(Vec<usize>),
    More(usize),
    Flush,
    KeyUpdate,
    /// The socket takes so many bytes more.
    Room(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || prop_oneof![4 => 1..2_000usize, 1 => 1..70_000usize];
    let step = prop_oneof![
        8 => size().prop_map(Step::Write),
        2 => vec(size(), 1..20).prop_map(Step::Vectored),
        1 => size().prop_map(Step::More),
        1 => Just(Step::Flush),
        1 => Just(Step::KeyUpdate),
        3 => prop_oneof![1..300usize, 1..300_000usize].prop_map(Step::Room),
    ];
    vec(step, 1..120)
}

/// A call that may find the socket full.
fn may_wait(result: io::Result<()>) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_taken_arrives_in_order_whatever_the_socket_takes(
        steps in steps(),
        suite in prop::sample::select(Suite::ALL.to_vec()),
    ) {
        let (mut stream, mut peer, room) = narrow(suite);
        room.bytes.set(0);
        let all = pattern(70_000 * 20);
        let mut expected = Vec::new();
        for step in steps {
            let n = match step {
                Step::Write(len) => write_some(&mut stream, &all[..len]),
                Step::More(len) => stream.write_more(&all[..len]).unwrap_or(0),
                Step::Vectored(lens) => {
                    let slices: Vec<_> = lens.iter().map(|len| IoSlice::new(&all[..*len])).collect();
                    let n = stream.write_vectored(&slices).unwrap_or(0);
                    let joined: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                    expected.extend_from_slice(&joined[..n]);
                    continue;
                }
                Step::Flush => {
                    may_wait(stream.flush());
                    0
                }
                Step::KeyUpdate if suite.is_tls13() => {
                    may_wait(stream.key_update(KeyUpdateRequest::NotRequested));
                    0
                }
                Step::KeyUpdate => 0,
                Step::Room(bytes) => {
                    room.bytes.set(room.bytes.get().saturating_add(bytes));
                    0
                }
            };
            expected.extend_from_slice(&all[..n]);
        }
        room.bytes.set(usize::MAX);
        stream.shutdown().unwrap();
        let mut received = Vec::new();
        loop {
            match peer.receive() {
                Some((APPLICATION_DATA, data)) => received.extend(data),
                Some((HANDSHAKE, message)) if message == key_update(0) => peer.update_rx(),
                // Tickets.
                Some((HANDSHAKE, _)) => {}
                end => {
                    prop_assert_eq!(end.map(|(content_type, _)| content_type), Some(ALERT));
                    break;
                }
            }
        }
        prop_assert!(received == expected);
    }
}
