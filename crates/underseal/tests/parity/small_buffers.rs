//! Sockets whose send buffer is smaller than a record: what leaves a record open must not wait for
//! room that only the end of the record would make.

use std::io::{self, ErrorKind, Write};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::AsyncWriteExt;
use underseal_testkit::PATIENCE;
use underseal_testkit::pipe;

use crate::case::Case;
use crate::connect::{Server, on_tokio, pattern};
use crate::files::file_of;

/// Less than a record, and a little more than one.
const SIZES: [usize; 2] = [4_096, 20_000];

/// What is sent through each of them.
const LEN: usize = 600_000;

/// Lengths of one call, by turns: less than a page, pages, records.
const LENS: [usize; 6] = [1, 70_000, 4_096, 16_384, 5_000, 33_333];

/// What a pipe holds, 16 pages.
const PIPE: usize = 65_536;

/// How late the reader starts: the socket is full by then.
const LATE: Duration = Duration::from_millis(300);

/// A server whose socket has a send buffer of `size` bytes, and the peer that reads it late.
fn server(case: Case, size: usize) -> (Server, JoinHandle<(Vec<u8>, bool)>) {
    let (stream, mut peer) = case.server();
    set_socket_send_buffer_size(stream.get_ref().0, size).unwrap();
    let peer = thread::spawn(move || {
        thread::sleep(LATE);
        peer.receive_data()
    });
    (stream, peer)
}

/// Sends all of [`LEN`] bytes by `send`, which is given the data that is left and a length.
fn everything_arrives(
    case: Case,
    nonblocking: bool,
    mut send: impl FnMut(&mut Server, &[u8], usize) -> io::Result<usize>,
) {
    for size in SIZES {
        let (mut stream, peer) = server(case, size);
        stream.get_ref().0.set_nonblocking(nonblocking).unwrap();
        let data = pattern(LEN);
        let mut left = &data[..];
        for len in LENS.into_iter().cycle() {
            if left.is_empty() {
                break;
            }
            let len = len.min(left.len());
            let n = when_writable(&mut stream, size, |stream| send(stream, left, len));
            assert!(0 < n && n <= len, "{n} of {len}");
            left = &left[n..];
        }
        when_writable(&mut stream, size, |stream| stream.shutdown());
        assert!(peer.join().unwrap() == (data, true), "{size}");
    }
}

/// Repeats `call` whenever the socket is full, until it is done.
fn when_writable<T>(
    stream: &mut Server,
    size: usize,
    mut call: impl FnMut(&mut Server) -> io::Result<T>,
) -> T {
    loop {
        match call(stream) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut socket = [PollFd::new(stream.get_ref().0, PollFlags::OUT)];
                let limit = Timespec::try_from(PATIENCE).unwrap();
                let ready = poll(&mut socket, Some(&limit)).unwrap();
                assert_eq!(ready, 1, "a socket of {size} bytes never became writable");
            }
            result => return result.unwrap(),
        }
    }
}

/// Splices out of a pipe that holds what is left, as far as it has room.
fn splicing() -> impl FnMut(&mut Server, &[u8], usize) -> io::Result<usize> {
    let (reader, mut writer) = pipe();
    let mut in_pipe = 0;
    move |stream, left, len| {
        while in_pipe < left.len() {
            match writer.write(&left[in_pipe..]) {
                Ok(n) => in_pipe += n,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        let moved = stream.splice_from(&reader, len)?;
        in_pipe -= moved;
        Ok(moved)
    }
}

pub(crate) fn a_pipe_that_is_kept_full_passes(case: Case) {
    everything_arrives(case, true, splicing());
}

pub(crate) fn a_pipe_that_is_kept_full_passes_a_socket_that_blocks(case: Case) {
    everything_arrives(case, false, splicing());
}

pub(crate) fn records_that_are_left_open_pass(case: Case) {
    everything_arrives(case, true, |stream, left, len| {
        stream.write_more(&left[..len])
    });
}

/// The pages of a pipe fill the record that a write left open.
pub(crate) fn open_records_and_pipes_take_turns(case: Case) {
    for nonblocking in [true, false] {
        let (reader, mut writer) = pipe();
        let mut in_pipe = 0;
        everything_arrives(case, nonblocking, |stream, left, len| {
            if in_pipe == 0 && len % 2 == 1 {
                return stream.write_more(&left[..len]);
            }
            if in_pipe == 0 {
                writer.write_all(&left[..len.min(PIPE)]).unwrap();
                in_pipe = len.min(PIPE);
            }
            let moved = stream.splice_from(&reader, in_pipe.min(len))?;
            in_pipe -= moved;
            Ok(moved)
        });
    }
}

pub(crate) fn a_file_passes(case: Case) {
    let content = pattern(LEN);
    let file = file_of(&content);
    for size in SIZES {
        let (mut stream, peer) = server(case, size);
        let sent = stream.send_file(&file, 3..u64::MAX).unwrap();
        assert_eq!(sent, LEN as u64 - 3);
        stream.shutdown().unwrap();
        assert!(peer.join().unwrap() == (content[3..].to_vec(), true));
    }
}

pub(crate) fn a_file_of_a_tokio_stream_passes(case: Case) {
    let content = pattern(LEN);
    let file = file_of(&content);
    for size in SIZES {
        on_tokio(async {
            let (mut stream, mut peer) = case.tokio_server().await;
            set_socket_send_buffer_size(stream.get_ref().0, size).unwrap();
            let peer = thread::spawn(move || {
                thread::sleep(LATE);
                peer.receive_data()
            });
            stream.write_more(b"...").await.unwrap();
            let sent = stream.send_file(&file, 3..u64::MAX).await.unwrap();
            assert_eq!(sent, LEN as u64 - 3);
            AsyncWriteExt::shutdown(&mut stream).await.unwrap();
            let expected = [b"...", &content[3..]].concat();
            assert!(peer.join().unwrap() == (expected, true));
        });
    }
}
