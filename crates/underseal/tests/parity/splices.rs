//! Splicing between a stream and a pipe, both ways.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::record::{AlertDescription, ContentType};
use underseal::{Direction, Engine, Error};
use underseal_testkit::pipe;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, Server, on_tokio, pattern, sockets};
use crate::endings::CLOSE_NOTIFY;
use crate::files::file_of;

/// What a pipe holds.
const PIPE: usize = 64 * 1024;

/// More than that.
const MUCH: usize = 1 << 20;

/// What is in the pipe: `len` bytes, and nothing else.
fn drain(pipe: &mut File, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    pipe.read_exact(&mut bytes).unwrap();
    let error = pipe.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "more than was said");
    bytes
}

/// Pages pass only where the kernel has the direction.
fn assert_splices(stream: &mut Server, case: Case, direction: Direction) {
    let by_kernel = case.engine(direction) == Engine::Kernel;
    assert_eq!(stream.splices(direction), by_kernel, "{direction}");
}

/// With what may come between data: a key update in pieces where there are any, a warning where there are
/// none, and close_notify at the end.
pub(crate) fn data_is_spliced_into_a_pipe(case: Case) {
    let (mut stream, mut peer) = case.server();
    assert_splices(&mut stream, case, Direction::Rx);
    let data = pattern(100_003);
    let own = data.clone();
    let key_update = key_update(0);
    let rekeyed = case.can_update_keys(&[Direction::Rx]);
    let peer = thread::spawn(move || {
        for (index, chunk) in own.chunks(7_001).enumerate() {
            peer.send(APPLICATION_DATA, chunk);
            if index % 5 != 0 {
                continue;
            }
            if !case.suite.is_tls13() {
                peer.send(ALERT, &[1, AlertDescription::USER_CANCELED.0]);
            } else if rekeyed {
                let (first, second) = key_update.split_at(2);
                peer.send(HANDSHAKE, first);
                peer.send(HANDSHAKE, second);
                peer.update_tx();
            }
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        peer
    });
    let (mut reader, writer) = pipe();
    let mut received = Vec::new();
    loop {
        match stream.splice_to(&writer, 50_000).unwrap() {
            0 => break,
            n => received.extend(drain(&mut reader, n)),
        }
    }
    assert!(received == data);
    assert_eq!(stream.splice_to(&writer, 1).unwrap(), 0, "the end stays");
    peer.join().unwrap();
}

/// They come when the client has its stream already.
pub(crate) fn tickets_at_a_splice_are_taken(case: Case) {
    let (mut stream, mut peer) = case.client();
    peer.send(APPLICATION_DATA, b"behind the tickets");
    let (mut reader, writer) = pipe();
    let n = stream.splice_to(&writer, 100).unwrap();
    assert_eq!(drain(&mut reader, n), b"behind the tickets");
    assert_eq!(stream.engines(), case.engines);
}

/// What was opened for a short read comes first, as far as it was not read.
pub(crate) fn reads_and_splices_take_turns(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(30_000);
    for chunk in data.chunks(3_000) {
        peer.send(APPLICATION_DATA, chunk);
    }
    peer.send(ALERT, &CLOSE_NOTIFY);
    let (mut reader, writer) = pipe();
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 1_234];
        let n = stream.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..n]);
        match stream.splice_to(&writer, 777).unwrap() {
            0 => break,
            n => received.extend(drain(&mut reader, n)),
        }
    }
    assert!(received == data);
}

pub(crate) fn a_splice_stops_at_a_record_of_another_type(case: Case) {
    let (mut stream, mut peer) = case.server();
    let mut buffer = [0; 100];
    peer.send(24, b"from now on");
    stream.read_record(&mut buffer).unwrap();
    peer.send(APPLICATION_DATA, b"before");
    peer.send(24, b"between");
    peer.send(APPLICATION_DATA, b"after");
    let (mut reader, writer) = pipe();
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 6);
    for _ in 0..2 {
        let error = stream.splice_to(&writer, 100).unwrap_err();
        let pending = Error::of(&error).unwrap();
        assert!(
            matches!(pending, Error::RecordPending(ContentType(24))),
            "{pending}"
        );
    }
    let record = stream.read_record(&mut buffer).unwrap();
    assert_eq!(record, Some((ContentType(24), 7)));
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 5);
    assert_eq!(drain(&mut reader, 11), b"beforeafter");
}

pub(crate) fn a_bad_record_at_a_splice_ends_the_connection(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"before");
    let mut bad = peer.record(APPLICATION_DATA, b"bad");
    *bad.last_mut().unwrap() ^= 1;
    peer.send_bytes(&bad);
    peer.send(APPLICATION_DATA, b"after");
    let (mut reader, writer) = pipe();
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 6);
    for _ in 0..2 {
        let error = stream.splice_to(&writer, 100).unwrap_err();
        let alert = Error::of(&error).unwrap().alert();
        assert_eq!(alert, Some(AlertDescription::BAD_RECORD_MAC), "{error}");
    }
    assert_eq!(drain(&mut reader, 6), b"before");
    let alert = AlertDescription::BAD_RECORD_MAC;
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

/// Of a ticket, which the kernel takes for any handshake message.
pub(crate) fn data_inside_of_a_message_is_not_spliced(case: Case) {
    let (mut stream, mut peer) = case.client();
    peer.send(HANDSHAKE, &[4, 0]);
    peer.send(APPLICATION_DATA, b"inside");
    let (mut reader, writer) = pipe();
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    for _ in 0..3 {
        let error = stream.splice_to(&writer, 2).unwrap_err();
        assert_eq!(Error::of(&error).unwrap().alert(), Some(alert), "{error}");
    }
    drain(&mut reader, 0);
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

/// A pipe that is full loses nothing.
pub(crate) fn a_full_pipe_is_not_ready(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(200_000);
    let own = data.clone();
    let peer = thread::spawn(move || {
        for chunk in own.chunks(16_384) {
            peer.send(APPLICATION_DATA, chunk);
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        peer
    });
    let (mut reader, writer) = pipe();
    let mut received = Vec::new();
    let mut in_pipe = 0;
    let mut was_full = 0;
    loop {
        match stream.splice_to(&writer, 1 << 20) {
            Ok(0) => break,
            Ok(n) => in_pipe += n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                assert_ne!(in_pipe, 0, "the pipe is empty");
                received.extend(drain(&mut reader, in_pipe));
                in_pipe = 0;
                was_full += 1;
            }
        }
    }
    received.extend(drain(&mut reader, in_pipe));
    assert!(received == data);
    assert!(was_full > 0, "a pipe does not hold 200 kB");
    peer.join().unwrap();
}

/// Many short pieces and a long one, with writes between; and what an empty pipe says.
pub(crate) fn a_pipe_is_spliced_into_a_stream(case: Case) {
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || peer.receive_data());
    let (reader, mut writer) = pipe();
    assert_splices(&mut stream, case, Direction::Tx);
    let error = stream.splice_from(&reader, 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    let mut sent = Vec::new();
    for (round, len) in [1, 4_096, 60_000, 13, 16_384].into_iter().enumerate() {
        let data = pattern(len);
        for piece in data.chunks(len / 10 + 1) {
            writer.write_all(piece).unwrap();
        }
        let mut left = len;
        while left > 0 {
            let n = stream.splice_from(&reader, left).unwrap();
            assert!(0 < n && n <= left);
            left -= n;
        }
        sent.extend(data);
        if round % 2 == 0 {
            stream.write_all(b"|").unwrap();
            sent.push(b'|');
        }
    }
    drop(writer);
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 0);
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (sent, true));
}

/// From one connection into another, by way of a pipe.
pub(crate) fn a_tokio_stream_is_relayed(case: Case) {
    on_tokio(async {
        let (mut from, mut client) = case.tokio_both().await;
        let (mut to, mut other) = case.tokio_both().await;
        let data = pattern(300_000);
        let send = async {
            client.write_all(&data).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let relay = async {
            let (reader, writer) = pipe();
            loop {
                let mut left = from.splice_to(&writer, 65_536).await.unwrap();
                if left == 0 {
                    break;
                }
                while left > 0 {
                    left -= to.splice_from(&reader, left).await.unwrap();
                }
            }
            to.shutdown().await.unwrap();
        };
        let receive = async {
            let mut received = Vec::new();
            other.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), (), received) = tokio::join!(send, relay, receive);
        assert!(received == data);
    });
}

/// Neither a file nor a socket, though both can be read and written: nothing of them is taken, and the
/// connection goes on.
pub(crate) fn what_is_no_pipe_is_not_spliced(case: Case) {
    let (mut stream, mut peer) = case.server();
    let mut file = file_of(b"content");
    file.rewind().unwrap();
    let (socket, mut other) = sockets();
    other.write_all(b"content").unwrap();
    peer.send(APPLICATION_DATA, b"data");
    for what in [file.as_fd(), socket.as_fd()] {
        let from = stream.splice_from(what, 100).unwrap_err();
        let to = stream.splice_to(what, 100).unwrap_err();
        for error in [from, to] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
    for what in [&mut &file as &mut dyn Read, &mut &socket] {
        let mut content = [0; 7];
        what.read_exact(&mut content).unwrap();
        assert_eq!(&content, b"content");
    }
    let mut data = [0; 4];
    stream.read_exact(&mut data).unwrap();
    stream.write_all(&data).unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"data".to_vec(), true));
}

/// As much as the pipe held is with a stream whose peer has left when the pipe turns out to be empty.
pub(crate) fn a_peer_that_left_is_not_taken_for_an_empty_pipe(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (reader, mut writer) = pipe();
    let data = pattern(PIPE);
    let other = thread::spawn(move || (receive_exactly(&mut peer, PIPE), peer));
    writer.write_all(&data).unwrap();
    let mut left = PIPE;
    while left > 0 {
        left -= stream.splice_from(&reader, MUCH).unwrap();
    }
    stream.flush().unwrap();
    let (received, mut peer) = other.join().unwrap();
    assert!(received == data);
    set_socket_linger(peer.io(), Some(Duration::ZERO)).unwrap();
    drop(peer);
    poll(&mut [PollFd::new(stream.get_ref().0, PollFlags::IN)], None).unwrap();
    writer.write_all(&data).unwrap();
    let error = stream.splice_from(&reader, MUCH).unwrap_err();
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
}

/// The next `len` bytes of data.
fn receive_exactly(peer: &mut Peer, len: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < len {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, data) => received.extend(data),
            // A ticket.
            (content_type, _) => assert_eq!(content_type, HANDSHAKE),
        }
    }
    received
}
