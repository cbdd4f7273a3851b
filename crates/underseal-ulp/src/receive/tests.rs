//! A peer seals, a socket delivers in pieces, and a program asks in all the ways that it may.

use std::collections::VecDeque;

use underseal_record::{Algorithm, Sealer, SeqNo};

use super::*;

mod readable;

const TLS12: (ProtocolVersion, Algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
const TLS13: (ProtocolVersion, Algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
const ALL: [(ProtocolVersion, Algorithm); 6] = [
    TLS12,
    (ProtocolVersion::Tls12, Algorithm::Aes256Gcm),
    (ProtocolVersion::Tls12, Algorithm::ChaCha20Poly1305),
    TLS13,
    (ProtocolVersion::Tls13, Algorithm::Aes256Gcm),
    (ProtocolVersion::Tls13, Algorithm::ChaCha20Poly1305),
];

fn keys((version, algorithm): (ProtocolVersion, Algorithm), key: u8) -> TrafficKeys {
    let key = [key; 32];
    let key = &key[..algorithm.key_len()];
    TrafficKeys::new(version, algorithm, key, [3; 12], SeqNo(0)).unwrap()
}

/// A socket, with who seals at its other end.
struct Socket {
    queue: VecDeque<u8>,
    sealer: Sealer,
    is_over: bool,
    /// How many times it was asked.
    calls: usize,
}

impl Socket {
    fn new(suite: (ProtocolVersion, Algorithm)) -> Self {
        Self {
            queue: VecDeque::new(),
            sealer: Sealer::new(keys(suite, 7)),
            is_over: false,
            calls: 0,
        }
    }

    fn record(&mut self, content_type: ContentType, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0; self.sealer.record_len(data.len())];
        let sealed = self.sealer.seal(content_type, data, &mut record).unwrap();
        record.truncate(sealed.written);
        record
    }

    fn seal(&mut self, content_type: ContentType, data: &[u8]) {
        let record = self.record(content_type, data);
        self.queue.extend(record);
    }

    fn data(&mut self, data: &[u8]) {
        self.seal(ContentType::APPLICATION_DATA, data);
    }
}

impl Source for Socket {
    fn take(&mut self, bytes: &mut [u8], _: bool) -> Result<usize, Errno> {
        self.calls += 1;
        let count = bytes.len().min(self.queue.len());
        if count == 0 && !self.is_over {
            return Err(Errno::AGAIN);
        }
        for (byte, taken) in bytes.iter_mut().zip(self.queue.drain(..count)) {
            *byte = taken;
        }
        Ok(count)
    }

    fn peek(&mut self, _: bool) -> Result<Option<u8>, Errno> {
        self.calls += 1;
        match self.queue.front() {
            None if !self.is_over => Err(Errno::AGAIN),
            first => Ok(first.copied()),
        }
    }
}

/// A program's memory, which may be bad.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    is_bad: bool,
}

impl Sink for Memory {
    fn takes(&mut self, _: usize) -> bool {
        !self.is_bad
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if self.is_bad {
            return Err(Errno::FAULT);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// recvmsg(2) with room for a type.
const fn with_type(len: usize) -> Asked {
    Asked {
        len,
        takes_types: true,
        peeks: false,
        waits_for_all: false,
    }
}

/// read(2).
const fn without(len: usize) -> Asked {
    Asked {
        takes_types: false,
        ..with_type(len)
    }
}

fn receive(suite: (ProtocolVersion, Algorithm)) -> Receive {
    Receive::new(keys(suite, 7))
}

/// One call: what came, and what was said of it.
fn call(
    receive: &mut Receive,
    socket: &mut Socket,
    asked: Asked,
) -> Result<(Vec<u8>, Received), Errno> {
    let mut memory = Memory::default();
    let received = receive.receive(&asked, &mut memory, socket)?;
    assert_eq!(memory.bytes.len(), received.len);
    // What is left of a record is seen by poll.
    assert!(receive.kept.is_empty() || !socket.queue.is_empty());
    Ok((memory.bytes, received))
}

fn text(receive: &mut Receive, socket: &mut Socket, asked: Asked) -> Result<String, Errno> {
    let (bytes, _) = call(receive, socket, asked)?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn every_suite_is_opened_in_pieces_of_any_size() {
    for suite in ALL {
        for len in [1, 7, 1000, 16_384, 100_000] {
            for asked in [with_type(len), without(len)] {
                let (mut receive, mut socket) = (receive(suite), Socket::new(suite));
                let data = payload(70_000);
                data.chunks(16_384).for_each(|piece| socket.data(piece));
                socket.is_over = true;
                let mut all = Vec::new();
                loop {
                    let (bytes, received) = call(&mut receive, &mut socket, asked).unwrap();
                    if received.content_type.is_none() {
                        break;
                    }
                    all.extend(bytes);
                }
                assert!(all == data, "{suite:?}, {asked:?}: they differ");
            }
        }
    }
}

#[test]
fn records_that_trickle_in_are_taken_and_come_when_they_are_whole() {
    for suite in [TLS12, TLS13] {
        for asked in [with_type(100), without(100), with_type(3)] {
            let (mut receive, mut socket) = (receive(suite), Socket::new(suite));
            let record = socket.record(ContentType::APPLICATION_DATA, b"trickles");
            let (last, others) = record.split_last().unwrap();
            for byte in others {
                socket.queue.push_back(*byte);
                assert_eq!(call(&mut receive, &mut socket, asked), Err(Errno::AGAIN));
                assert!(
                    socket.queue.is_empty(),
                    "poll would say that it is readable"
                );
            }
            socket.queue.push_back(*last);
            let first = text(&mut receive, &mut socket, asked).unwrap();
            assert!(b"trickles".starts_with(first.as_bytes()), "{first}");
        }
    }
}

#[test]
fn one_call_merges_data_and_nothing_else() {
    for suite in [TLS12, TLS13] {
        for asked in [with_type(100), without(100)] {
            let (mut receive, mut socket) = (receive(suite), Socket::new(suite));
            socket.data(b"one ");
            socket.data(b"two");
            socket.seal(ContentType::ALERT, &[1, 0]);
            socket.data(b"three");
            let (bytes, received) = call(&mut receive, &mut socket, asked).unwrap();
            assert_eq!(bytes, b"one two");
            assert_eq!(received.content_type, Some(ContentType::APPLICATION_DATA));
            assert!(received.is_end_of_record);
            let (bytes, received) = call(&mut receive, &mut socket, with_type(100)).unwrap();
            assert_eq!(
                (&bytes[..], received.content_type),
                (&[1, 0][..], Some(ContentType::ALERT))
            );
            assert_eq!(text(&mut receive, &mut socket, asked).unwrap(), "three");
            assert!(socket.queue.is_empty());
        }
    }
}

#[test]
fn a_record_of_another_type_waits_for_somebody_who_can_be_told() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    socket.seal(ContentType::HANDSHAKE, b"\x04ticket");
    for _ in 0..2 {
        assert_eq!(
            call(&mut receive, &mut socket, without(100)),
            Err(Errno::IO)
        );
        assert!(!socket.queue.is_empty(), "poll says that it is there");
    }
    let (bytes, received) = call(&mut receive, &mut socket, with_type(3)).unwrap();
    assert_eq!(
        (&bytes[..], received.is_end_of_record),
        (&b"\x04ti"[..], false)
    );
    let (bytes, received) = call(&mut receive, &mut socket, with_type(100)).unwrap();
    assert_eq!(
        (&bytes[..], received.is_end_of_record),
        (&b"cket"[..], true)
    );
    assert_eq!(received.content_type, Some(ContentType::HANDSHAKE));
    assert_eq!(
        call(&mut receive, &mut socket, with_type(9)),
        Err(Errno::AGAIN)
    );
}

#[test]
fn who_peeks_takes_nothing() {
    for suite in [TLS12, TLS13] {
        let (mut receive, mut socket) = (receive(suite), Socket::new(suite));
        socket.data(b"one ");
        socket.data(b"two");
        let peek = Asked {
            peeks: true,
            ..with_type(100)
        };
        for _ in 0..2 {
            assert_eq!(text(&mut receive, &mut socket, peek).unwrap(), "one ");
        }
        let peek_all = Asked {
            waits_for_all: true,
            len: 7,
            ..peek
        };
        let peek_rest = Asked { len: 5, ..peek_all };
        assert_eq!(
            text(&mut receive, &mut socket, peek_all).unwrap(),
            "one two"
        );
        assert_eq!(text(&mut receive, &mut socket, without(2)).unwrap(), "on");
        assert_eq!(text(&mut receive, &mut socket, peek_rest).unwrap(), "e two");
        assert_eq!(
            text(&mut receive, &mut socket, without(9)).unwrap(),
            "e two"
        );
        assert!(socket.queue.is_empty());
    }
}

#[test]
fn a_call_waits_for_as_much_as_it_was_told() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    let all = Asked {
        waits_for_all: true,
        ..without(7)
    };
    socket.data(b"one ");
    socket.data(b"two");
    socket.data(b"more");
    assert_eq!(text(&mut receive, &mut socket, all).unwrap(), "one two");
    receive.set_low_water(6);
    socket.data(b"less");
    assert_eq!(
        text(&mut receive, &mut socket, without(9)).unwrap(),
        "moreless"
    );
    assert_eq!(receive.low_water(), 6);
}

#[test]
fn a_socket_that_was_emptied_is_not_asked_again() {
    let (mut receive, mut socket) = (receive(TLS12), Socket::new(TLS12));
    socket.data(b"one");
    assert_eq!(
        text(&mut receive, &mut socket, with_type(100)).unwrap(),
        "one"
    );
    assert_eq!(socket.calls, 2, "a header, and the rest of its record");
}

#[test]
fn the_next_header_comes_with_the_record_before() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    let piece = payload(16_384);
    (0..4).for_each(|_| socket.data(&piece));
    for _ in 0..4 {
        let (bytes, _) = call(&mut receive, &mut socket, with_type(16_384)).unwrap();
        assert!(bytes == piece, "they differ");
    }
    assert_eq!(socket.calls, 5);
}

#[test]
fn empty_records_are_passed_over() {
    for asked in [with_type(100), without(100)] {
        let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
        socket.data(b"");
        assert_eq!(call(&mut receive, &mut socket, asked), Err(Errno::AGAIN));
        socket.data(b"");
        socket.data(b"full");
        assert_eq!(text(&mut receive, &mut socket, asked).unwrap(), "full");
    }
}

#[test]
fn a_key_update_is_delivered_and_nothing_behind_it_before_its_keys() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    socket.data(b"before");
    socket.seal(ContentType::HANDSHAKE, &[24, 0, 0, 1, 0]);
    socket.sealer.replace_keys(keys(TLS13, 8));
    socket.data(b"after");
    assert_eq!(
        text(&mut receive, &mut socket, with_type(100)).unwrap(),
        "before"
    );
    let (bytes, received) = call(&mut receive, &mut socket, with_type(100)).unwrap();
    assert_eq!(
        (bytes.len(), received.content_type),
        (5, Some(ContentType::HANDSHAKE))
    );
    for _ in 0..2 {
        let refused = call(&mut receive, &mut socket, with_type(100));
        assert_eq!(refused, Err(Errno::KEYEXPIRED));
    }
    receive.replace_keys(keys(TLS13, 8)).unwrap();
    assert_eq!(
        text(&mut receive, &mut socket, with_type(100)).unwrap(),
        "after"
    );
}

#[test]
fn keys_of_another_kind_are_refused() {
    let other = (ProtocolVersion::Tls13, Algorithm::Aes256Gcm);
    assert_eq!(
        receive(TLS13).replace_keys(keys(other, 7)),
        Err(Errno::INVAL)
    );
    assert_eq!(
        receive(TLS12).replace_keys(keys(TLS12, 7)),
        Err(Errno::BUSY)
    );
}

#[test]
fn what_is_broken_is_an_error_for_good_behind_what_was_not() {
    let mut forged = Socket::new(TLS13);
    forged.data(b"good");
    let mut record = forged.record(ContentType::APPLICATION_DATA, b"bad");
    record[6] ^= 1;
    forged.queue.extend(record);
    forged.data(b"never");
    let header = |bytes: [u8; 5]| {
        let mut socket = Socket::new(TLS13);
        socket.data(b"good");
        socket.queue.extend(bytes);
        socket.queue.extend([0; 40]);
        socket
    };
    for (mut socket, expected) in [
        (forged, Errno::BADMSG),
        (header([23, 3, 1, 0, 30]), Errno::INVAL),
        (header([23, 3, 3, 0xff, 0xff]), Errno::MSGSIZE),
        (header([23, 3, 3, 0, 3]), Errno::BADMSG),
        (header([0x55; 5]), Errno::MSGSIZE),
        (header([23, 3, 3, 0x40, 0x12]), Errno::MSGSIZE),
        (header([0x55, 0x55, 0x55, 0, 3]), Errno::BADMSG),
        (header([0x55, 0x55, 0x55, 0, 30]), Errno::INVAL),
        (header([0x55, 3, 3, 0, 30]), Errno::BADMSG),
    ] {
        let mut receive = receive(TLS13);
        assert_eq!(
            text(&mut receive, &mut socket, without(100)).unwrap(),
            "good"
        );
        for _ in 0..2 {
            assert_eq!(call(&mut receive, &mut socket, without(100)), Err(expected));
        }
    }
}

#[test]
fn a_bad_address_loses_nothing() {
    let (mut receive, mut socket) = (receive(TLS12), Socket::new(TLS12));
    socket.data(b"stays");
    let mut bad = Memory {
        is_bad: true,
        ..Memory::default()
    };
    for _ in 0..2 {
        let refused = receive.receive(&with_type(100), &mut bad, &mut socket);
        assert_eq!(refused, Err(Errno::FAULT));
        assert!(!socket.queue.is_empty(), "poll says that it is there");
    }
    assert_eq!(
        text(&mut receive, &mut socket, with_type(100)).unwrap(),
        "stays"
    );
}

#[test]
fn the_end_is_the_end_wherever_it_comes() {
    for cut in [0, 3, 20] {
        let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
        let record = socket.record(ContentType::APPLICATION_DATA, b"never whole");
        socket.queue.extend(&record[..cut]);
        socket.is_over = true;
        for asked in [with_type(100), without(100)] {
            let (_, received) = call(&mut receive, &mut socket, asked).unwrap();
            assert_eq!(received, Received::default());
        }
    }
}

#[test]
fn a_call_without_room_gets_nothing_and_asks_nobody() {
    let (mut receive, mut socket) = (receive(TLS13), Socket::new(TLS13));
    let (_, received) = call(&mut receive, &mut socket, with_type(0)).unwrap();
    assert_eq!((received, socket.calls), (Received::default(), 0));
}
