//! Splices between ends that wait: as long as the socket has time, and never behind data that moved.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use underseal_testkit::record_peer::APPLICATION_DATA;

use crate::case::Case;
use crate::connect::{Server, pattern};

/// What a pipe holds.
const PIPE: usize = 64 * 1024;

const PAGE: usize = 4096;

/// How long a socket waits that is to wait in vain.
const SHORT: Duration = Duration::from_millis(50);

/// Time in which a call begins to wait.
const SETTLED: Duration = Duration::from_millis(100);

fn waiting_pipe() -> (File, File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// Has the socket full; returns how many bytes it took.
fn fill(stream: &mut Server) -> usize {
    stream.get_ref().0.set_nonblocking(true).unwrap();
    let mut filled = 0;
    let full = loop {
        match stream.write(&pattern(10_000)) {
            Ok(n) => filled += n,
            Err(error) => break error,
        }
    };
    assert!(is_full(&full), "{full}");
    stream.get_ref().0.set_nonblocking(false).unwrap();
    filled
}

/// More of it than one batch, and nothing behind: who waits for more keeps what there was.
pub(crate) fn what_a_pipe_held_is_sent_although_no_more_comes(case: Case) {
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || peer.receive_data());
    let (reader, mut writer) = waiting_pipe();
    let data = pattern(4 * PIPE);
    for held in data.chunks(PIPE) {
        writer.write_all(held).unwrap();
        let mut left = held.len();
        while left > 0 {
            left -= stream.splice_from(&reader, 1 << 20).unwrap();
        }
    }
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (data, true));
}

/// There is room for one page of a record.
pub(crate) fn a_pipe_gets_what_it_has_room_for(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (mut reader, mut writer) = waiting_pipe();
    writer.write_all(&[0; PIPE - PAGE]).unwrap();
    let data = pattern(3 * PAGE);
    peer.send(APPLICATION_DATA, &data);
    let moved = stream.splice_to(&writer, data.len()).unwrap();
    assert!((1..=PAGE).contains(&moved), "{moved}");
    let mut held = vec![0; PIPE - PAGE + moved];
    reader.read_exact(&mut held).unwrap();
    let mut received = held.split_off(PIPE - PAGE);
    while received.len() < data.len() {
        let mut moved = vec![0; stream.splice_to(&writer, data.len()).unwrap()];
        reader.read_exact(&mut moved).unwrap();
        received.extend(moved);
    }
    assert!(received == data);
}

pub(crate) fn a_pipe_that_waits_is_waited_for(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (mut reader, mut writer) = waiting_pipe();
    let other_end = thread::spawn(move || {
        thread::sleep(SETTLED);
        writer.write_all(b"sent").unwrap();
        writer
    });
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 4);
    stream.flush().unwrap();
    let mut writer = other_end.join().unwrap();
    writer.write_all(&[0; PIPE]).unwrap();
    peer.send(APPLICATION_DATA, b"received");
    let other_end = thread::spawn(move || {
        thread::sleep(SETTLED);
        reader.read_exact(&mut [0; PIPE]).unwrap();
        reader
    });
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 8);
    let mut received = [0; 8];
    let mut reader = other_end.join().unwrap();
    reader.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"received");
}

/// Nothing is lost by a call that ended so.
pub(crate) fn a_splice_has_the_time_of_its_socket_for_its_pipe(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (mut reader, mut writer) = waiting_pipe();
    stream.get_ref().0.set_write_timeout(Some(SHORT)).unwrap();
    let error = stream.splice_from(&reader, 100).unwrap_err();
    assert!(is_full(&error), "{error}");
    writer.write_all(&[0; PIPE]).unwrap();
    peer.send(APPLICATION_DATA, b"received");
    let socket = stream.get_ref().0;
    poll(&mut [PollFd::new(socket, PollFlags::IN)], None).unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    let error = stream.splice_to(&writer, 100).unwrap_err();
    assert!(is_full(&error), "{error}");
    reader.read_exact(&mut [0; PIPE]).unwrap();
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 8);
    let mut received = [0; 8];
    reader.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"received");
}

/// Who waits for the socket lets others write to the pipe, and only that has the peer read.
pub(crate) fn a_pipe_can_be_used_while_its_splice_waits(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.get_ref().0.set_write_timeout(None).unwrap();
    let filled = fill(&mut stream);
    let (reader, mut writer) = waiting_pipe();
    writer.write_all(b"first").unwrap();
    let sender = thread::spawn(move || {
        let mut sent = 0;
        while sent < 10 {
            sent += stream.splice_from(&reader, 100).unwrap();
        }
        stream.shutdown().unwrap();
        stream
    });
    thread::sleep(SETTLED);
    writer.write_all(b"later").unwrap();
    let (received, is_closed) = peer.receive_data();
    assert!(is_closed);
    assert_eq!(received[filled..], *b"firstlater");
    sender.join().unwrap();
}

/// There is nothing left to wait for room with.
pub(crate) fn a_pipe_is_at_its_end_although_the_socket_is_full(case: Case) {
    let (mut stream, _peer) = case.server();
    let (reader, writer) = waiting_pipe();
    fill(&mut stream);
    stream.get_ref().0.set_write_timeout(Some(SHORT)).unwrap();
    drop(writer);
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 0);
}
