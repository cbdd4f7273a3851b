//! Entry point of the fuzz target `streams`: any sequence of what the owners of both ends of a
//! connection do, over a pipe that takes little, against a model of what each end must see. Each end
//! has a task that reads and one that writes, as when it is split, and neither is polled before it
//! is woken.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};
use underseal::KeyUpdateRequest;
use underseal::message::MessageDirection;
use underseal_testkit::Faults;

use crate::stream_ends::pair;
use crate::stream_side::{Call, Side, pattern};

/// Key updates that one end starts: with the answers to as many of the other's, fewer than a peer
/// may send without data between them.
const KEY_UPDATES: u32 = 12;
/// No sequence needs so many turns.
const TURNS: usize = 5_000;
/// Bytes that the stream below keeps until it is flushed.
const BUFFERS: [usize; 4] = [1, 64, 1_000, 20_000];

struct Sequence<'a> {
    script: std::slice::Iter<'a, u8>,
    sides: [Side; 2],
    notes: [Notes; 2],
    is_tls13: bool,
}

/// What one end did that the other has to show.
#[derive(Default)]
struct Notes {
    updates: u32,
    /// The key updates of both ends, when this one last asked for one.
    asked_at: Option<[u32; 2]>,
    /// Bytes that its peer has to see, once it reads itself: what was redirected here, and all
    /// before that.
    redirected: usize,
}

/// Panics where a stream does what it says that it does not.
pub fn run(data: &[u8]) {
    let [choice, capacity, script @ ..] = data else {
        return;
    };
    let is_tls13 = choice.is_multiple_of(2);
    let capacity = 500 + usize::from(*capacity) * 40;
    let buffer = BUFFERS[usize::from(choice >> 3) % BUFFERS.len()];
    let mut sequence = Sequence {
        script: script.iter(),
        sides: pair(is_tls13, capacity, buffer).map(Side::new),
        notes: Default::default(),
        is_tls13,
    };
    while let Some(step) = sequence.script.next() {
        sequence.step(usize::from(step % 2), step / 2);
    }
    sequence.settle();
    match choice & 2 {
        0 => sequence.close(),
        _ => sequence.cut(choice & 4 != 0),
    }
}

impl Sequence<'_> {
    fn step(&mut self, at: usize, step: u8) {
        let number = usize::from(*self.script.next().unwrap_or(&0));
        let len = 1 + number.pow(2) / 4;
        let side = &mut self.sides[at];
        match step % 16 {
            0 | 1 if !side.is_closing => side.writer.start(Call::Write(len)),
            2 if !side.is_closing => side.writer.start(Call::WriteMore(len)),
            3 if !side.is_closing => side.writer.start(Call::Flush),
            4 | 5 => side.reader.start(Call::Read(len)),
            6 => side.reader.start(Call::FillBuf(len)),
            7 => self.update_key(at, number.is_multiple_of(2)),
            8 => self.redirect(at, MessageDirection::Egress, len),
            9 => self.redirect(at, MessageDirection::Ingress, len),
            10 => side.set_faults(Some(faults(number)), None),
            11 => side.set_faults(None, Some(faults(number))),
            12 => side.reader.call = None,
            13 => side.writer.call = None,
            14 if step > 110 => side.shut_down(),
            14 | 15 => self.run_woken(),
            _ => {}
        }
        self.poll(at);
    }

    fn update_key(&mut self, at: usize, is_asking: bool) {
        let updates = [at, 1 - at].map(|at| self.sides[at].stream.counters().tx_key_updates);
        let (side, notes) = (&mut self.sides[at], &mut self.notes[at]);
        if !self.is_tls13 || side.is_closing || notes.updates == KEY_UPDATES {
            return;
        }
        notes.updates += 1;
        let mut request = KeyUpdateRequest::NotRequested;
        if is_asking {
            request = KeyUpdateRequest::Requested;
            notes.asked_at = Some(updates);
        }
        side.update_key(request);
    }

    /// Others' bytes: to be sent by this end, or to be read here.
    fn redirect(&mut self, at: usize, direction: MessageDirection, len: usize) {
        let (reader, origin) = match direction {
            MessageDirection::Egress => (1 - at, 0),
            MessageDirection::Ingress => (at, 1),
        };
        let from = self.sides[reader].incoming[origin].taken;
        let taken = self.sides[at].redirect(direction, &pattern(origin as u8, from, len));
        self.sides[reader].incoming[origin].taken += taken;
        if taken > 0 && direction == MessageDirection::Egress {
            self.notes[at].redirected = from + taken;
        }
    }

    /// Polls the tasks of one end that were woken; whether there was one.
    fn poll(&mut self, at: usize) -> bool {
        let from = self.sides[1 - at].incoming[0].taken;
        let peer_is_closing = self.sides[1 - at].is_closing;
        let side = &mut self.sides[at];
        let (writes, reads) = (side.writer.is_woken(), side.reader.is_woken());
        let taken = match writes {
            true => side.poll_writer(from),
            false => 0,
        };
        if reads {
            side.poll_reader();
            assert!(peer_is_closing || !side.has_ended, "nobody closed");
        }
        self.sides[1 - at].incoming[0].taken += taken;
        writes || reads
    }

    fn run_woken(&mut self) {
        let mut turns = 0;
        while self.poll(0) | self.poll(1) {
            turns += 1;
            assert!(turns < TURNS, "tasks that do nothing are woken");
        }
    }

    /// Reads all that comes, and runs the tasks until nobody is woken any more.
    fn read_all(&mut self) {
        loop {
            self.run_woken();
            let mut is_done = true;
            for side in &mut self.sides {
                if side.reader.call.is_none() && !side.has_ended {
                    side.reader.start(Call::Read(3_000));
                    is_done = false;
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// From here on the pipe takes and gives everything: nobody waits, and all has arrived.
    fn settle(&mut self) {
        for side in &mut self.sides {
            side.set_faults(Some(Faults::default()), Some(Faults::default()));
        }
        self.read_all();
        self.check_readers();
        for side in &mut self.sides {
            assert_eq!(side.writer.call, None, "nobody woke the writer");
            match side.is_closing {
                true => side.shut_down(),
                false => side.writer.start(Call::Flush),
            }
        }
        self.read_all();
        self.check_all();
    }

    /// What ends have to send that read, they have sent without being asked: answers, and what
    /// others redirected.
    fn check_readers(&self) {
        for at in [0, 1] {
            let [side, peer] = [at, 1 - at].map(|at| &self.sides[at]);
            let [own, others] = [side, peer].map(|side| side.stream.counters());
            // It is kept while something is pending, and sealed before the next record.
            if let Some([before, peers]) = self.notes[at].asked_at
                && others.rx_key_updates > before
                && !(peer.is_closing || peer.has_ended)
            {
                assert!(own.rx_key_updates > peers, "no answer");
            }
            let seen = peer.incoming[0].seen;
            let is_sent = seen >= self.notes[at].redirected;
            assert!(
                side.has_ended || is_sent,
                "nobody sends what was redirected"
            );
        }
    }

    fn check_all(&self) {
        for [side, peer] in [[0, 1], [1, 0]].map(|pair| pair.map(|at| &self.sides[at])) {
            assert_eq!(side.writer.call, None, "nobody woke the writer");
            let is_whole = side.incoming.iter().all(|flow| flow.is_whole());
            assert!(is_whole, "bytes are missing");
            assert!(side.has_told_senders(), "nobody told a sender");
            assert_eq!(side.has_ended, peer.is_closed);
            let (own, others) = (side.stream.counters(), peer.stream.counters());
            assert_eq!(own.rx_key_updates, others.tx_key_updates);
        }
    }

    /// Both ends close.
    fn close(mut self) {
        self.sides.iter_mut().for_each(Side::shut_down);
        self.read_all();
        for side in &self.sides {
            assert!(side.is_closed && side.has_ended, "the close is not clean");
        }
    }

    /// One end is dropped: the other is told of an end that is none, unless it had closed.
    fn cut(self, is_first: bool) {
        let [first, second] = self.sides;
        let (mut left, gone) = match is_first {
            true => (second, first),
            false => (first, second),
        };
        drop(gone.stream);
        if gone.is_closed {
            return assert!(left.has_ended);
        }
        assert!(left.reader.is_woken(), "nobody told the reader");
        let mut out = [0; 10];
        let (mut out, mut cx) = (ReadBuf::new(&mut out), Context::from_waker(Waker::noop()));
        match Pin::new(&mut left.stream).poll_read(&mut cx, &mut out) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            other => panic!("a stream that was cut: {other:?}"),
        }
    }
}

fn faults(number: usize) -> Faults {
    Faults {
        most_bytes: (!number.is_multiple_of(3)).then_some(1 + number * 4),
        would_block_every: (!number.is_multiple_of(4)).then_some(2 + (number / 4 % 8) as u64),
        ..Faults::default()
    }
}
