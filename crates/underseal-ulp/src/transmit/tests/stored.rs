//! What is read to where it is sealed.

use std::io::IoSliceMut;

use super::*;
use crate::Stored;

const PAGE: usize = 4096;

/// A file from an offset on, which sees where it is read to.
struct File {
    bytes: Vec<u8>,
    offset: usize,
    fails: Option<Errno>,
}

impl File {
    fn new(bytes: Vec<u8>, offset: usize) -> Self {
        let fails = None;
        Self {
            bytes,
            offset,
            fails,
        }
    }
}

impl Stored for File {
    fn place(&self, position: usize) -> usize {
        (self.offset + position) % PAGE
    }

    fn read(&mut self, position: usize, rooms: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        if let Some(error) = self.fails {
            return Err(error);
        }
        let rest = self.bytes.get(self.offset + position..);
        let rest = rest.unwrap_or_default();
        let mut read = 0;
        for room in rooms {
            if read == rest.len() {
                break;
            }
            let place = (room.as_ptr().addr(), self.place(position + read));
            assert_eq!(place.0 % PAGE, place.1, "it is a slow copy");
            let len = room.len().min(rest.len() - read);
            room[..len].copy_from_slice(&rest[read..read + len]);
            read += len;
        }
        Ok(read)
    }
}

/// As [`send_all`], from a file.
fn send_file(transmit: &mut Transmit, file: &mut File, socket: &mut Socket, step: usize) {
    let (mut lent, mut done) = (Lent::new(), 0);
    let (start, end) = (file.offset, file.bytes.len());
    while start + done < end {
        file.offset = start + done;
        match transmit.send_stored(file, end - start - done, socket, &mut lent) {
            Ok(reported) => done += reported,
            Err(Errno::AGAIN) => socket.room += step,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_suite_seals_a_file_that_its_peer_opens() {
    for suite in ALL {
        for (offset, len) in [(0, 700_000), (1, 700_000), (4095, 40_960), (12_345, 99)] {
            let mut file = File::new(payload(offset + len), offset);
            let (mut socket, mut transmit) = (Socket::default(), transmit(suite));
            send_file(&mut transmit, &mut file, &mut socket, usize::MAX / 2);
            let (records, rest) = open(&mut opener(suite), &socket.taken);
            let expected = payload(offset + len)[offset..].to_vec();
            assert_eq!((data_of(&records), rest), (expected, 0), "{suite:?}");
        }
    }
}

#[test]
fn a_full_socket_gets_each_record_of_a_file_once_whatever_it_takes_at_a_time() {
    for step in [1, 5, 21, 100, 16_383, 16_406, 50_000, 300_000] {
        let len = if step < 100 { 40_000 } else { 900_000 };
        for tells_room in [false, true] {
            let mut socket = Socket {
                tells_room,
                ..Socket::default()
            };
            let mut transmit = transmit(TLS13);
            assert!(transmit.hold(b"head"));
            let mut file = File::new(payload(len), 0);
            send_file(&mut transmit, &mut file, &mut socket, step);
            let (records, rest) = open(&mut opener(TLS13), &socket.taken);
            let expected = [b"head", &payload(len)[..]].concat();
            assert_eq!((data_of(&records), rest), (expected, 0), "{step}");
        }
    }
}

#[test]
fn records_of_a_file_are_full_but_for_the_first_and_the_last() {
    for (held, offset) in [(0, 0), (240, 0), (4096, 0), (0, 77), (300, 77)] {
        let mut transmit = transmit(TLS13);
        assert!(held == 0 || transmit.hold(&vec![1; held]));
        let mut socket = Socket {
            room: usize::MAX,
            ..Socket::default()
        };
        let mut file = File::new(payload(offset + 65_536), offset);
        send_file(&mut transmit, &mut file, &mut socket, 0);
        let (records, _) = open(&mut opener(TLS13), &socket.taken);
        let lens: Vec<_> = records.iter().map(|(_, data)| data.len()).collect();
        assert!(lens.len() <= 5, "{lens:?}");
        let full = &lens[1..lens.len() - 1];
        assert!(full.iter().all(|len| *len == 1 << 14), "{lens:?}");
    }
}

#[test]
fn a_file_goes_in_records_as_short_as_the_peer_wants_them() {
    for most in [64, 1000, 4096, 6000] {
        let mut transmit = transmit(TLS13);
        assert_eq!(transmit.set_max_payload(most), Ok(()));
        assert!(transmit.hold(&payload(63)));
        let mut file = File::new(payload(200_000), 0);
        let mut socket = Socket::default();
        send_file(&mut transmit, &mut file, &mut socket, 100_000);
        let (records, rest) = open(&mut opener(TLS13), &socket.taken);
        let expected = [payload(63), payload(200_000)].concat();
        assert_eq!((data_of(&records), rest), (expected, 0), "{most}");
        let longest = records.iter().map(|(_, data)| data.len()).max();
        assert_eq!(longest, Some(most.into()));
    }
}

#[test]
fn the_buffer_of_files_is_no_larger_than_one_batch_wherever_its_pages_are() {
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    for (held, offset) in [(0, 0), (0, 4095), (4096, 0), (4096, 4095)] {
        let len = 4 * MAX_BATCH;
        assert!(held == 0 || transmit.hold(&vec![1; held]));
        let mut file = File::new(payload(offset + len), offset);
        let mut socket = Socket {
            room: usize::MAX,
            tells_room: true,
            ..Socket::default()
        };
        let sent = transmit.send_stored(&mut file, len, &mut socket, &mut lent);
        assert_eq!(sent, Ok(len));
    }
    let room = lent.take_bytes(0).capacity();
    assert!(room < MAX_BATCH / 2 * 3, "{room}");
}

#[test]
fn a_file_that_ends_early_is_a_short_count() {
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    for (len, expected) in [(100_000, 100_000), (0, 0)] {
        let mut file = File::new(payload(len), 0);
        let sent = transmit.send_stored(&mut file, 200_000, &mut socket, &mut lent);
        assert_eq!(sent, Ok(expected));
    }
    let (records, rest) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!((data_of(&records), rest), (payload(100_000), 0));
}

#[test]
fn what_is_held_goes_out_alone_if_its_file_cannot_be_read() {
    let (mut transmit, mut lent) = (transmit(TLS13), Lent::new());
    assert!(transmit.hold(b"head"));
    let mut file = File::new(payload(1000), 0);
    file.fails = Some(Errno::IO);
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let sent = transmit.send_stored(&mut file, 1000, &mut socket, &mut lent);
    assert_eq!(sent, Err(Errno::IO));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    let (records, _) = open(&mut opener(TLS13), &socket.taken);
    assert_eq!(data_of(&records), b"head");
}

#[test]
fn no_more_of_a_file_is_sealed_than_its_key_may() {
    let limit = underseal_record::Limits::of(TLS13.0, TLS13.1).hard;
    let mut transmit = Transmit::new(keys(TLS13, 7, limit - 2));
    let mut socket = Socket {
        room: usize::MAX,
        ..Socket::default()
    };
    let mut file = File::new(payload(100_000), 0);
    let sent = transmit.send_stored(&mut file, 100_000, &mut socket, &mut Lent::new());
    assert_eq!(sent, Ok(2 << 14));
    let sealed = 2 * ((1 << 14) + 22);
    assert_eq!(socket.taken.len(), sealed, "nothing else is sent");
    file.offset = 2 << 14;
    let sent = transmit.send_stored(&mut file, 1000, &mut socket, &mut Lent::new());
    assert_eq!((sent, socket.taken.len()), (Err(Errno::BADMSG), sealed));
}
