//! Records that are not what they say: nothing after them is delivered, and the peer is told.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::pipe::{PipeFlags, pipe_with};
use underseal::Error;
use underseal::record::{AlertDescription, ContentType};
use underseal_testkit::pipe;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE};

use crate::case::Case;
use crate::connect::{Peer, Server, pattern};
use crate::endings::read_to_end;
use crate::files::file_of;

/// Asserts what every such fault has in common. `fault` makes the bytes that come after `before`;
/// a good record and close_notify come after them.
pub(crate) fn is_refused(
    case: Case,
    before: &[u8],
    alert: AlertDescription,
    fault: impl FnOnce(&mut Peer) -> Vec<u8>,
) {
    let (mut stream, mut peer) = case.server();
    let mut bytes = Vec::new();
    for chunk in before.chunks(16_384) {
        bytes.extend(peer.record(APPLICATION_DATA, chunk));
    }
    bytes.extend(fault(&mut peer));
    bytes.extend(peer.record(APPLICATION_DATA, b"after"));
    bytes.extend(peer.record(ALERT, &[1, 0]));
    peer.send_bytes(&bytes);
    let (data, end) = read_to_end(&mut stream);
    assert!(data == before, "{} of {} bytes", data.len(), before.len());
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let text = error.to_string();
    assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{text}");
    for _ in 0..3 {
        let again = stream.read(&mut [0; 100]).unwrap_err();
        assert_eq!(again.to_string(), text, "the first error stays");
    }
    let write = stream.write(b"after").unwrap_err();
    assert_eq!(write.kind(), ErrorKind::BrokenPipe);
    assert_eq!(peer.receive_alert(), Some(alert.0), "what the peer is told");
    assert!(stream.into_parts().is_err(), "its keys protect nothing");
}

pub(crate) fn a_bad_tag_poisons_the_stream_for_good(case: Case) {
    is_refused(case, b"before", AlertDescription::BAD_RECORD_MAC, |peer| {
        let mut record = peer.record(APPLICATION_DATA, b"changed on the way");
        *record.last_mut().unwrap() ^= 1;
        record
    });
}

/// What one read takes in at once ends in the middle of it.
pub(crate) fn a_bad_tag_in_a_large_read_comes_after_the_data(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(3_000);
    let mut bytes: Vec<u8> = data
        .chunks(1_000)
        .flat_map(|chunk| peer.record(APPLICATION_DATA, chunk))
        .collect();
    let mut record = peer.record(APPLICATION_DATA, &[1; 1_000]);
    record[20] ^= 0x80;
    bytes.extend(record);
    bytes.extend(peer.record(APPLICATION_DATA, &[2; 1_000]));
    peer.send_bytes(&bytes);
    let mut received = [0; 10_000];
    let mut filled = 0;
    while filled < data.len() {
        let n = stream.read(&mut received[filled..]).unwrap();
        assert_ne!(n, 0);
        filled += n;
    }
    assert!(received[..filled] == data);
    let error = stream.read(&mut received).unwrap_err();
    let alert = AlertDescription::BAD_RECORD_MAC;
    assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

pub(crate) fn another_version_is_refused(case: Case) {
    is_refused(
        case,
        b"before",
        AlertDescription::PROTOCOL_VERSION,
        |peer| {
            let mut record = peer.record(APPLICATION_DATA, b"TLS 1.0");
            record[2] = 1;
            record
        },
    );
}

/// Refused by its header, before its body has come.
pub(crate) fn a_record_that_is_too_long_is_refused(case: Case) {
    let len: u16 = if case.suite.is_tls13() {
        0x4101
    } else {
        0x4801
    };
    is_refused(case, b"before", AlertDescription::RECORD_OVERFLOW, |_| {
        let [high, low] = len.to_be_bytes();
        vec![APPLICATION_DATA, 3, 3, high, low]
    });
}

pub(crate) fn a_record_that_is_too_short_is_refused(case: Case) {
    is_refused(case, b"before", AlertDescription::BAD_RECORD_MAC, |_| {
        vec![APPLICATION_DATA, 3, 3, 0, 0]
    });
}

pub(crate) fn a_repeated_record_is_refused(case: Case) {
    let (mut stream, mut peer) = case.server();
    let record = peer.record(APPLICATION_DATA, b"once");
    peer.send_bytes(&[&record[..], &record].concat());
    let (data, end) = read_to_end(&mut stream);
    assert_eq!(data, b"once");
    let alert = AlertDescription::BAD_RECORD_MAC;
    let error = end.unwrap_err();
    assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

/// A handshake message is whole before anything else comes: the data is authentic, and in the wrong
/// place.
pub(crate) fn data_inside_of_a_message_is_not_delivered(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(HANDSHAKE, part_of_a_message(case));
    peer.send(APPLICATION_DATA, b"inside");
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    for _ in 0..3 {
        // Less than the record has.
        let error = stream.read(&mut [0; 2]).unwrap_err();
        assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
    }
    assert!(stream.peek(&mut [0; 2]).is_err());
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

/// Changes a record.
pub(crate) type Spoil = fn(&mut [u8]);

/// What makes the header of a record bad, and the alert for it.
pub(crate) const HEADERS: [(Spoil, AlertDescription); 3] = [
    (|record| record[2] = 1, AlertDescription::PROTOCOL_VERSION),
    (|record| record[3] = 0xff, AlertDescription::RECORD_OVERFLOW),
    (
        |record| record[3..5].fill(0),
        AlertDescription::BAD_RECORD_MAC,
    ),
];

/// What is sent to a peer that got a header wrong.
static REPLY: [u8; 40_000] = [5; 40_000];

/// Time in which what was sent is with the other side.
pub(crate) const WAIT: Duration = Duration::from_millis(50);

/// Has `reply` send [`REPLY`] behind each bad header: it arrives, and the reader is told then.
fn is_told_to_the_reader(case: Case, reply: impl Fn(&mut Server) -> io::Result<()>) {
    for (spoil, alert) in HEADERS {
        let (mut stream, mut peer) = case.server();
        let good = peer.record(APPLICATION_DATA, b"before");
        let mut bad = peer.record(APPLICATION_DATA, b"spoilt");
        spoil(&mut bad);
        peer.send_bytes(&[good, bad].concat());
        let mut before = [0; 6];
        // The kernel looks at the next header behind a record that is read.
        stream.read_exact(&mut before[..3]).unwrap();
        thread::sleep(WAIT);
        reply(&mut stream).unwrap();
        stream.shutdown().unwrap();
        assert!(peer.receive_data() == (REPLY.to_vec(), true), "{alert}");
        stream.read_exact(&mut before[3..]).unwrap();
        assert_eq!(&before, b"before");
        for _ in 0..2 {
            let error = stream.read(&mut [0; 10]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
        }
    }
}

pub(crate) fn a_bad_header_costs_its_peer_no_reply(case: Case) {
    is_told_to_the_reader(case, |stream| stream.write_all(&REPLY));
    is_told_to_the_reader(case, |stream| {
        // All of it, and open records.
        let mut rest = &REPLY[..];
        while !rest.is_empty() {
            let n = stream.write_more(&rest[..rest.len().min(7_000)])?;
            rest = &rest[n..];
        }
        stream.flush()
    });
}

pub(crate) fn a_bad_header_costs_its_peer_no_file_and_no_pipe(case: Case) {
    let file = file_of(&REPLY);
    is_told_to_the_reader(case, |stream| {
        let sent = stream.send_file(&file, 0..REPLY.len() as u64)?;
        assert_eq!(sent, REPLY.len() as u64);
        Ok(())
    });
    is_told_to_the_reader(case, |stream| {
        let (reader, mut writer) = pipe();
        writer.write_all(&REPLY).unwrap();
        splice_all(stream, &reader, REPLY.len())
    });
}

/// A way to send on, with what there is to send.
type GoOn = fn(&mut Server) -> io::Result<()>;

/// Ways to go on behind an open record, each of which sends [`REPLY`].
const WAYS: [GoOn; 6] = [
    |stream| stream.write_all(&REPLY),
    |stream| {
        stream.flush()?;
        stream.write_all(&REPLY)
    },
    |stream| {
        let first = stream.write_more(&REPLY[..7_000])?;
        stream.write_all(&REPLY[first..])
    },
    |stream| {
        stream.send_record(ContentType(24), &b"beat"[..])?;
        stream.write_all(&REPLY)
    },
    |stream| {
        let sent = stream.send_file(&file_of(&REPLY), 0..u64::MAX)?;
        assert_eq!(sent, REPLY.len() as u64);
        Ok(())
    },
    |stream| {
        let (reader, mut writer) = pipe();
        writer.write_all(&REPLY).unwrap();
        splice_all(stream, &reader, REPLY.len())
    },
];

fn splice_all(stream: &mut Server, pipe: &File, len: usize) -> io::Result<()> {
    let mut sent = 0;
    while sent < len {
        sent += stream.splice_from(pipe, len - sent)?;
    }
    Ok(())
}

/// The kernel says that it cannot open a record in the words in which it says that it could not seal
/// the open one.
pub(crate) fn a_bad_header_costs_its_peer_no_open_record(case: Case) {
    for (spoil, alert) in HEADERS {
        for (way, go_on) in WAYS.into_iter().enumerate() {
            let (mut stream, mut peer) = case.server();
            assert_eq!(stream.write_more(b"open").unwrap(), 4);
            let good = peer.record(APPLICATION_DATA, b"before");
            let mut bad = peer.record(APPLICATION_DATA, b"spoilt");
            spoil(&mut bad);
            peer.send_bytes(&[good, bad].concat());
            let mut before = [0; 6];
            stream.read_exact(&mut before[..3]).unwrap();
            thread::sleep(WAIT);
            go_on(&mut stream).unwrap();
            stream.shutdown().unwrap();
            let expected = [b"open", &REPLY[..]].concat();
            assert!(peer.receive_data() == (expected, true), "{alert}, {way}");
            stream.read_exact(&mut before[3..]).unwrap();
            let error = stream.read(&mut [0; 10]).unwrap_err();
            assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
        }
    }
}

/// More than the buffers of both sockets hold.
const LONG: usize = 1_000_000;

/// Sends [`LONG`] bytes by `send` over a socket that waits, to a peer that gets a header wrong while
/// it does, and reads only then: everything arrives, once, and the reader is told.
fn arrives_meanwhile(case: Case, data: &[u8], send: impl Fn(&mut Server) -> io::Result<()>) {
    for (spoil, alert) in HEADERS {
        let (mut stream, mut peer) = case.server();
        set_socket_send_buffer_size(stream.get_ref().0, 100_000).unwrap();
        let mut bad = peer.record(APPLICATION_DATA, b"spoilt");
        spoil(&mut bad);
        let peer = thread::spawn(move || {
            thread::sleep(2 * WAIT);
            peer.send_bytes(&bad);
            thread::sleep(2 * WAIT);
            peer.receive_data()
        });
        send(&mut stream).unwrap();
        stream.shutdown().unwrap();
        let (arrived, is_whole) = peer.join().unwrap();
        assert!(arrived == data, "{alert}: {} bytes", arrived.len());
        assert!(is_whole, "{alert}");
        let error = stream.read(&mut [0; 10]).unwrap_err();
        assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
    }
}

pub(crate) fn a_bad_header_meanwhile_costs_a_waiting_writer_nothing(case: Case) {
    let data = pattern(LONG);
    arrives_meanwhile(case, &data, |stream| stream.write_all(&data));
}

pub(crate) fn a_bad_header_meanwhile_costs_no_file_and_no_pipe(case: Case) {
    let data = pattern(LONG);
    let file = file_of(&data);
    arrives_meanwhile(case, &data, |stream| {
        stream.send_file(&file, 0..u64::MAX).map(drop)
    });
    arrives_meanwhile(case, &data, |stream| {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (reader, mut writer) = (File::from(reader), File::from(writer));
        thread::scope(|scope| {
            // It ends with the pipe.
            scope.spawn(|| drop(writer.write_all(&data)));
            let sent = splice_all(stream, &reader, data.len());
            drop(reader);
            sent
        })
    });
}

/// A file that nothing can be read of by pages fails by itself, and not for what was received.
pub(crate) fn what_cannot_be_sent_is_no_fault_of_the_peers(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"good");
    // Neither a pipe nor a regular file.
    let nothing = File::open("/").unwrap();
    stream.send_file(&nothing, 0..10).unwrap_err();
    let mut good = [0; 4];
    stream.read_exact(&mut good).unwrap();
    assert_eq!(&good, b"good");
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let error = stream.read(&mut good).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
}

/// The front of a message that a client may send after its handshake.
pub(crate) fn part_of_a_message(case: Case) -> &'static [u8] {
    match case.suite.is_tls13() {
        true => &[24, 0],
        false => &[1, 0, 0],
    }
}
