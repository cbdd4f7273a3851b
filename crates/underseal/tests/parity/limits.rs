//! No key seals more records than it may, in however short pieces the data comes.

use std::fs::File;
use std::io::Write;
use std::thread;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use underseal::Error;
use underseal::record::Limits;
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, Server, pattern};

const LIMITS: Limits = Limits { soft: 5, hard: 8 };

/// Buffers of a pipe of 1 MiB, which is as long as one may be made.
const BUFFERS: usize = 256;

/// The data that came under all keys, and the most records that one of them had sealed.
fn receive(case: Case, peer: &mut Peer) -> (Vec<u8>, u64) {
    let before = match case.suite.is_tls13() {
        true => 0,
        // Finished has the first number.
        false => 1,
    };
    let (mut data, mut records, mut most) = (Vec::new(), before, 0);
    while let Some((content_type, payload)) = peer.receive() {
        records += 1;
        most = most.max(records);
        match content_type {
            APPLICATION_DATA => data.extend(payload),
            HANDSHAKE if payload == key_update(0) => {
                peer.update_rx();
                records = 0;
            }
            _ => {}
        }
    }
    (data, most)
}

/// Sends `data` by `send`, which is given what is left, until a key is at its limit that cannot be
/// updated, or all of it is sent.
fn no_key_passes_its_limit(
    case: Case,
    data: &[u8],
    mut send: impl FnMut(&mut Server, &[u8]) -> std::io::Result<usize>,
) {
    let (mut stream, mut peer) = case.server();
    stream.lower_limits(LIMITS);
    let peer = thread::spawn(move || receive(case, &mut peer));
    let mut taken = 0;
    while taken < data.len() {
        match send(&mut stream, &data[taken..]) {
            Ok(n) => taken += n,
            Err(error) => {
                let limit = Error::Record(underseal::record::Error::ConfidentialityLimit);
                assert_eq!(error.to_string(), limit.to_string());
                break;
            }
        }
    }
    stream.flush().unwrap();
    drop(stream);
    let (received, most) = peer.join().unwrap();
    assert!(received == data[..taken], "{} of {taken}", received.len());
    assert!(taken > 0 && most <= LIMITS.hard, "{most} records");
}

/// Each byte of it in a buffer of its own.
fn pipe_of(data: &[u8]) -> (File, File) {
    let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC | PipeFlags::DIRECT;
    let (reader, writer) = pipe_with(flags).unwrap();
    fcntl_setpipe_size(&writer, data.len() * 4096).unwrap();
    let mut writer = File::from(writer);
    for byte in data {
        writer.write_all(&[*byte]).unwrap();
    }
    (reader.into(), writer)
}

/// The kernel ends a record after 17 of them.
pub(crate) fn short_buffers_of_a_pipe_are_counted(case: Case) {
    let data = pattern(BUFFERS);
    let (reader, _writer) = pipe_of(&data);
    no_key_passes_its_limit(case, &data, |stream, left| {
        stream.splice_from(&reader, left.len())
    });
}

/// The one that is open when the kernel is asked has a number, too.
pub(crate) fn a_record_that_is_left_open_is_counted(case: Case) {
    no_key_passes_its_limit(case, &pattern(300_000), |stream, left| {
        stream.write_more(&left[..left.len().min(5_000)])
    });
}
