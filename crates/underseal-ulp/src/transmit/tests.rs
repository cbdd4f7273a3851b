//! The other end opens what came, in order and with the keys' own numbers: a record that is lost, sealed
//! twice or out of place does not open.

use underseal_record::{
    Algorithm, MAX_PLAINTEXT, Opener, PlaintextIn, ProtocolVersion, SeqNo, TrafficKeys,
};

use super::*;

mod more;
mod stored;

/// A socket that takes as much as a test says, and then is full.
#[derive(Default)]
struct Socket {
    room: usize,
    taken: Vec<u8>,
    fails: Option<Errno>,
    tells_room: bool,
}

impl Wire for Socket {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if let Some(error) = self.fails {
            return Err(error);
        }
        match bytes.len().min(self.room) {
            0 => Err(Errno::AGAIN),
            taken => {
                self.room -= taken;
                self.taken.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
        }
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        self.send(&whole)
    }

    fn room(&mut self) -> Option<usize> {
        self.tells_room.then_some(self.room)
    }
}

const ALL: [(ProtocolVersion, Algorithm); 6] = [
    (ProtocolVersion::Tls12, Algorithm::Aes128Gcm),
    (ProtocolVersion::Tls12, Algorithm::Aes256Gcm),
    (ProtocolVersion::Tls12, Algorithm::ChaCha20Poly1305),
    (ProtocolVersion::Tls13, Algorithm::Aes128Gcm),
    (ProtocolVersion::Tls13, Algorithm::Aes256Gcm),
    (ProtocolVersion::Tls13, Algorithm::ChaCha20Poly1305),
];

fn keys((version, algorithm): (ProtocolVersion, Algorithm), key: u8, seq: u64) -> TrafficKeys {
    let key = [key; 32];
    let key = &key[..algorithm.key_len()];
    TrafficKeys::new(version, algorithm, key, [3; 12], SeqNo(seq)).unwrap()
}

fn opener(suite: (ProtocolVersion, Algorithm)) -> Opener {
    Opener::new(keys(suite, 7, 0))
}

const TLS13: (ProtocolVersion, Algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);

fn transmit(suite: (ProtocolVersion, Algorithm)) -> Transmit {
    Transmit::new(keys(suite, 7, 0))
}

/// The whole records of `bytes`, by type and plaintext; and what is left of it.
fn open(opener: &mut Opener, mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, usize) {
    let mut records = Vec::new();
    while bytes.len() >= 5 {
        let len = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        if bytes.len() < len {
            break;
        }
        let mut record = bytes[..len].to_vec();
        let opened = opener.open_in_place(&mut record).unwrap();
        let PlaintextIn::Record(place) = opened.plaintext else {
            panic!("opened in place");
        };
        records.push((opened.content_type.0, record[place].to_vec()));
        bytes = &bytes[len..];
    }
    (records, bytes.len())
}

fn data_of(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let data = records.iter().filter(|(kind, _)| *kind == 23);
    data.flat_map(|(_, data)| data.clone()).collect()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Sends as a program does: what was not reported comes again, after the socket has got `step` more room.
fn send_all(transmit: &mut Transmit, data: &[u8], socket: &mut Socket, step: usize) -> Vec<usize> {
    let (mut lent, mut reports, mut done) = (Lent::new(), Vec::new(), 0);
    while done < data.len() {
        let rest = &mut &data[done..];
        match transmit.send(rest, data.len() - done, socket, &mut lent) {
            Ok(reported) => {
                assert!(reported > 0, "nothing is reported only as EAGAIN");
                done += reported;
                reports.push(reported);
            }
            Err(Errno::AGAIN) => socket.room += step,
            Err(error) => panic!("{error}"),
        }
    }
    reports
}

#[test]
fn every_suite_seals_what_its_peer_opens() {
    for suite in ALL {
        let data = payload(700_000);
        let mut socket = Socket::default();
        send_all(&mut transmit(suite), &data, &mut socket, usize::MAX / 2);
        let (records, rest) = open(&mut opener(suite), &socket.taken);
        assert_eq!((data_of(&records), rest), (data, 0), "{suite:?}");
    }
}

#[test]
fn a_socket_with_room_takes_everything_in_one_call() {
    let data = payload(3_000_001);
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let sent = transmit(TLS13).send(&mut &data[..], data.len(), &mut socket, &mut Lent::new());
    assert_eq!(sent, Ok(data.len()));
    let (records, _) = open(&mut opener(TLS13), &socket.taken);
    let full = records.iter().filter(|(_, data)| data.len() == 1 << 14);
    assert_eq!(full.count(), records.len() - 1, "all but the last are full");
}

#[test]
fn a_full_socket_gets_each_record_once_whatever_it_takes_at_a_time() {
    for step in [1, 5, 21, 100, 16_383, 16_406, 50_000, 300_000] {
        let data = payload(if step < 100 { 40_000 } else { 900_000 });
        let mut socket = Socket::default();
        let reports = send_all(&mut transmit(TLS13), &data, &mut socket, step);
        let (records, rest) = open(&mut opener(TLS13), &socket.taken);
        assert_eq!((data_of(&records), rest), (data, 0), "{step}");
        assert!(reports.len() > 1, "{step}: {reports:?}");
    }
}

#[test]
fn what_is_reported_is_wholly_on_the_wire() {
    let data = payload(500_000);
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let (mut socket, mut done) = (Socket::default(), 0);
    while done < data.len() {
        let sent = transmit.send(
            &mut &data[done..],
            data.len() - done,
            &mut socket,
            &mut lent,
        );
        done += sent.unwrap_or(0);
        let (records, _) = open(&mut opener(TLS13), &socket.taken);
        assert!(data_of(&records).len() >= done);
        socket.room += 7000;
    }
}

#[test]
fn a_caller_that_comes_back_with_less_is_told_of_no_more() {
    let data = payload(60_000);
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut socket = Socket {
        room: 10,
        ..Socket::default()
    };
    let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::AGAIN));
    socket.room = usize::MAX;
    for (from, len) in [(0, 100), (100, 20_000), (20_100, 39_900)] {
        let piece = &mut &data[from..from + len];
        assert_eq!(transmit.send(piece, len, &mut socket, &mut lent), Ok(len));
    }
    let (records, rest) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!((data_of(&records), rest), (data, 0));
}

#[test]
fn a_control_record_is_taken_whole_behind_what_was_sealed() {
    let data = payload(50_000);
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut socket = Socket {
        room: 20_000,
        ..Socket::default()
    };
    let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
    assert_eq!(sent, Ok(1 << 14));
    let sent = transmit.send_control(ContentType::ALERT, &[1, 0], &mut socket);
    assert_eq!(sent, Ok(2));
    assert!(transmit.owed() > 0);
    socket.room = usize::MAX;
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert_eq!(transmit.owed(), 0);
    assert_eq!(transmit.pending_len(), 0);
    let (records, rest) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!((data_of(&records), rest), (data, 0));
    assert_eq!(records.last(), Some(&(21, vec![1, 0])));
}

#[test]
fn a_control_record_that_may_wait_goes_in_front_of_what_follows() {
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    for ticket in [[4, 1], [4, 2]] {
        let held = transmit.hold_control(ContentType::HANDSHAKE, &ticket);
        assert_eq!(held, Ok(true));
    }
    assert!(socket.taken.is_empty() && transmit.owed() > 0);
    let sent = transmit.send(&mut &b"data"[..], 4, &mut socket, &mut lent);
    assert_eq!((sent, transmit.owed()), (Ok(4), 0));
    let (records, _) = open(&mut opener(TLS13), &socket.taken);
    let expected = [(22, vec![4, 1]), (22, vec![4, 2]), (23, b"data".to_vec())];
    assert_eq!(records, expected);
    while transmit.hold_control(ContentType::HANDSHAKE, &[4; 1000]) == Ok(true) {
        assert!(transmit.owed() <= MAX_OWED + MAX_RECORD);
    }
}

#[test]
fn a_socket_without_memory_gets_later_what_was_counted_as_sent() {
    for error in [Errno::NOMEM, Errno::NOBUFS, Errno::INTR] {
        let mut transmit = transmit(TLS13);
        let mut socket = Socket {
            room: usize::MAX,
            fails: Some(error),
            ..Socket::default()
        };
        let alert = transmit.send_control(ContentType::ALERT, &[1, 0], &mut socket);
        assert_eq!(alert, Ok(2), "it would be sealed once more");
        assert!(transmit.owed() > 0);
        socket.fails = None;
        assert_eq!(transmit.flush(&mut socket), Ok(()));
        let (records, _) = open(&mut opener(TLS13), &socket.taken);
        assert_eq!(records, [(21, vec![1, 0])]);
    }
}

#[test]
fn control_records_do_not_fill_memory() {
    let mut transmit = transmit(TLS13);
    let mut socket = Socket::default();
    let ticket = [4; 1000];
    let taken = (0..1000)
        .map(|_| transmit.send_control(ContentType::HANDSHAKE, &ticket, &mut socket))
        .take_while(|taken| *taken == Ok(1000))
        .count();
    assert!((10..100).contains(&taken), "{taken}");
    assert!(transmit.pending_len() <= MAX_OWED + MAX_RECORD);
}

#[test]
fn new_keys_seal_what_comes_behind_the_old_ones() {
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut socket = Socket::default();
    let sent = transmit.send(&mut &b"old"[..], 3, &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::AGAIN));
    assert_eq!(transmit.replace_keys(keys(TLS13, 8, 0)), Ok(()));
    socket.room = usize::MAX;
    let sent = transmit.send(&mut &b"old new"[..], 7, &mut socket, &mut lent);
    assert_eq!(sent, Ok(7));
    let old = 5 + 3 + 1 + 16;
    let (records, _) = open(&mut opener(TLS13), &socket.taken[..old]);
    assert_eq!(data_of(&records), b"old");
    let mut opener = Opener::new(keys(TLS13, 8, 0));
    let (records, _) = open(&mut opener, &socket.taken[old..]);
    assert_eq!(data_of(&records), b" new");
}

#[test]
fn keys_are_replaced_as_the_kernel_allows_it() {
    let tls12 = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
    let replaced = transmit(tls12).replace_keys(keys(tls12, 8, 0));
    assert_eq!(replaced, Err(Errno::BUSY));
    let other = (ProtocolVersion::Tls13, Algorithm::Aes256Gcm);
    let replaced = transmit(TLS13).replace_keys(keys(other, 8, 0));
    assert_eq!(replaced, Err(Errno::INVAL));
}

#[test]
fn an_error_of_the_socket_comes_behind_what_was_taken() {
    let data = payload(40_000);
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut socket = Socket {
        room: 17_000,
        ..Socket::default()
    };
    let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
    assert_eq!(sent, Ok(1 << 14));
    socket.fails = Some(Errno::PIPE);
    let sent = transmit.send(&mut &data[1 << 14..], 100, &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::PIPE));
}

#[test]
fn a_key_seals_no_more_than_it_may() {
    let limit = underseal_record::Limits::of(TLS13.0, TLS13.1).hard;
    let mut transmit = Transmit::new(keys(TLS13, 7, limit - 2));
    let mut lent = Lent::new();
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let data = payload(100_000);
    let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
    assert_eq!(sent, Ok(2 << 14));
    let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::BADMSG));
}

/// Bytes that end early, as of a file that was truncated.
struct Shrunk(Vec<u8>);

impl Plaintext for Shrunk {
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno> {
        let rest = self.0.get(position..).ok_or(Errno::IO)?;
        Ok(&rest[..most.min(rest.len())])
    }
}

#[test]
fn a_source_that_ends_early_is_a_short_count() {
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    let mut file = Shrunk(payload(1000));
    assert_eq!(
        transmit.send(&mut file, 5000, &mut socket, &mut lent),
        Ok(1000)
    );
    let mut empty = Shrunk(Vec::new());
    assert_eq!(
        transmit.send(&mut empty, 5000, &mut socket, &mut lent),
        Ok(0)
    );
}

#[test]
fn what_is_held_is_in_the_first_record_of_what_follows() {
    for room in [0, 7, 500, 20_000, 1 << 20] {
        let data = payload(40_000);
        let mut transmit = transmit(TLS13);
        assert!(transmit.hold(b"head"));
        assert!(transmit.owed() > 0);
        let mut socket = Socket {
            room,
            ..Socket::default()
        };
        send_all(&mut transmit, &data, &mut socket, 9_000);
        assert_eq!(transmit.owed(), 0);
        let (records, rest) = open(&mut opener(TLS13), &socket.taken);
        let expected = [b"head", &data[..]].concat();
        assert_eq!((data_of(&records), rest), (expected, 0), "{room}");
        assert_eq!(records[0].1.len(), 1 << 14);
    }
}

#[test]
fn what_is_held_goes_out_alone_if_nothing_follows() {
    let mut transmit = transmit(TLS13);
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    assert!(transmit.hold(b"one"));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert!(transmit.hold(b"two"));
    let alert = transmit.send_control(ContentType::ALERT, &[1, 0], &mut socket);
    assert_eq!(alert, Ok(2));
    assert!(transmit.hold(b"three"));
    let mut empty = Shrunk(Vec::new());
    let sent = transmit.send(&mut empty, 9, &mut socket, &mut Lent::new());
    assert_eq!(sent, Ok(0));
    assert_eq!(transmit.owed(), 0);
    let (records, _) = open(&mut opener(TLS13), &socket.taken);
    let records: Vec<_> = records
        .iter()
        .map(|(kind, data)| (*kind, &data[..]))
        .collect();
    let expected: [(u8, &[u8]); 4] = [(23, b"one"), (23, b"two"), (21, &[1, 0]), (23, b"three")];
    assert_eq!(records, expected);
}

#[test]
fn no_more_is_held_than_a_head() {
    let mut transmit = transmit(TLS13);
    assert!(transmit.hold(&payload(4096)));
    assert!(!transmit.hold(b"x"));
}

#[test]
fn what_is_sealed_is_not_held_when_its_caller_comes_again() {
    let (mut transmit, mut socket, mut lent) = (transmit(TLS13), Socket::default(), Lent::new());
    let head = payload(300);
    let sent = transmit.send(&mut &head[..], head.len(), &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::AGAIN));
    // Somebody else, a reader, sends what waits.
    socket.room = 1000;
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert!(!transmit.hold(&head), "it would be there twice");
    assert_eq!(send_all(&mut transmit, &head, &mut socket, 1000), [300]);
    assert!(transmit.hold(b"next"));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    let (records, left) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!(
        (data_of(&records), left),
        ([&head[..], b"next"].concat(), 0)
    );
}

#[test]
fn what_is_held_is_sealed_by_the_keys_that_it_was_written_under() {
    let mut transmit = transmit(TLS13);
    assert!(transmit.hold(b"old"));
    assert_eq!(transmit.replace_keys(keys(TLS13, 8, 0)), Ok(()));
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    let (records, _) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!(data_of(&records), b"old");
}

#[test]
fn a_long_transfer_that_stalls_holds_a_record_at_most() {
    let data = payload(2_000_000);
    for room in [0, 1, 16_406, 100_000, 1_000_000] {
        let mut transmit = transmit(TLS13);
        let mut socket = Socket {
            room,
            tells_room: true,
            ..Socket::default()
        };
        let mut lent = Lent::new();
        let sent = transmit.send(&mut &data[..], data.len(), &mut socket, &mut lent);
        assert!(sent.is_ok_and(|sent| sent < data.len()) || room < MAX_RECORD);
        assert!(
            transmit.pending_len() <= MAX_RECORD,
            "{room}: {}",
            transmit.pending_len()
        );
        assert_eq!(socket.room, 0, "the socket is full");
    }
}
