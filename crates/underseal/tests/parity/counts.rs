//! What a call took is counted, whatever comes of it: whoever goes on from there sends nothing
//! twice, and loses nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::pipe::fcntl_setpipe_size;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use underseal::message::{ByMessage, Denied, Filter, LengthPrefixed, Message, Peer as Target};
use underseal::message::{StreamParser, Verdict, Width};
use underseal::record::{ContentType, Limits};
use underseal::{Direction, Error, KeyUpdateRequest};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{PATIENCE, pipe, poll_once};

use crate::case::Case;
use crate::connect::{Peer, Server, TokioServer, on_tokio, pattern};
use crate::files::file_of;
use crate::no_rekey::can_rekey;

/// More than the sockets of both ends hold, by [`little_room`].
pub(crate) const MUCH: usize = 2_000_000;

/// A type that TLS does not use.
const OTHER: u8 = 99;

/// Has the sockets of both ends hold little: kernels let the peer's grow to megabytes otherwise.
pub(crate) fn little_room(ours: impl AsFd, theirs: &TcpStream) {
    set_socket_send_buffer_size(ours, 64 * 1024).unwrap();
    set_socket_recv_buffer_size(theirs, 256 * 1024).unwrap();
}

/// A server over a socket that does not wait, with a buffer that is soon full.
fn server(case: Case) -> (Server, Peer) {
    let (stream, mut peer) = case.server();
    little_room(stream.get_ref().0, peer.io());
    stream.get_ref().0.set_nonblocking(true).unwrap();
    (stream, peer)
}

/// The same on tokio.
async fn tokio_server(case: Case) -> (TokioServer, Peer) {
    let (stream, mut peer) = case.tokio_server().await;
    little_room(stream.get_ref().0, peer.io());
    (stream, peer)
}

/// Waits until the socket takes something.
fn wait(stream: &Server) {
    let mut socket = [PollFd::new(stream.get_ref().0, PollFlags::OUT)];
    let limit = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut socket, Some(&limit)).unwrap(), 1, "nobody reads");
}

/// `None` if the socket is full.
fn unless_full<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result.unwrap()),
    }
}

/// Repeats `call` whenever the socket is full, until it is done.
fn until_done<T>(stream: &mut Server, mut call: impl FnMut(&mut Server) -> io::Result<T>) -> T {
    loop {
        match unless_full(call(stream)) {
            Some(done) => return done,
            None => wait(stream),
        }
    }
}

/// All that comes in records of `content_type` to the end of the stream.
fn receive_all(peer: &mut Peer, content_type: u8) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        match peer.receive().unwrap() {
            (kind, payload) if kind == content_type => received.extend(payload),
            (ALERT, alert) => break assert_eq!(alert, [1, 0]),
            (HANDSHAKE, _) => {}
            other => panic!("{other:?}"),
        }
    }
    received
}

/// Has `send` send what is behind the bytes that it counted before, to a peer that reads only once
/// the socket is full.
fn sends_everything_once(
    case: Case,
    content_type: u8,
    mut send: impl FnMut(&mut Server, usize) -> io::Result<usize>,
) {
    let (mut stream, mut peer) = server(case);
    let mut sent = 0;
    while let Some(n) = unless_full(send(&mut stream, sent)) {
        assert!(n > 0, "{sent} bytes went into a socket");
        sent += n;
    }
    assert!(0 < sent && sent < MUCH);
    let peer = thread::spawn(move || receive_all(&mut peer, content_type));
    while sent < MUCH {
        match unless_full(send(&mut stream, sent)) {
            Some(n) => sent += n,
            None => wait(&stream),
        }
    }
    assert_eq!(sent, MUCH);
    until_done(&mut stream, |stream| stream.shutdown());
    let received = peer.join().unwrap();
    assert!(received == pattern(MUCH), "{} of {MUCH}", received.len());
}

pub(crate) fn a_full_socket_is_sent_no_byte_of_a_file_twice(case: Case) {
    let file = file_of(&pattern(MUCH));
    sends_everything_once(case, APPLICATION_DATA, |stream, sent| {
        let sent = stream.send_file(&file, sent as u64..MUCH as u64)?;
        Ok(sent as usize)
    });
    // The range says the same as what is returned.
    let mut range = 0..MUCH as u64;
    sends_everything_once(case, APPLICATION_DATA, |stream, sent| {
        assert_eq!(range.start, sent as u64);
        let more = stream.send_file(&file, &mut range)?;
        Ok(more as usize)
    });
    assert!(range.is_empty());
}

pub(crate) fn a_full_socket_is_sent_no_byte_of_a_record_twice(case: Case) {
    let data = pattern(MUCH);
    sends_everything_once(case, OTHER, |stream, sent| {
        stream.send_record(ContentType(OTHER), &data[sent..])
    });
    let mut rest = &data[..];
    sends_everything_once(case, OTHER, |stream, sent| {
        assert_eq!(rest.len(), MUCH - sent);
        stream.send_record(ContentType(OTHER), &mut rest)
    });
    assert!(rest.is_empty());
}

/// Writes until the socket is full; returns how many bytes it took.
fn fill(stream: &mut Server) -> usize {
    let data = pattern(MUCH);
    let mut taken = 0;
    while let Some(n) = unless_full(stream.write(&data[taken..])) {
        taken += n;
    }
    taken
}

/// The KeyUpdates that come to the end of the stream, and the data.
fn receive_updates(peer: &mut Peer, request: u8) -> (usize, Vec<u8>) {
    let (mut updates, mut received) = (0, Vec::new());
    loop {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, payload) => received.extend(payload),
            (HANDSHAKE, message) if message == key_update(request) => {
                peer.update_rx();
                updates += 1;
            }
            (HANDSHAKE, _) => {}
            (ALERT, alert) => break assert_eq!(alert, [1, 0]),
            other => panic!("{other:?}"),
        }
    }
    (updates, received)
}

/// It was taken: whoever would repeat the call would update the key twice.
pub(crate) fn a_full_socket_is_sent_one_key_update(case: Case) {
    if !can_rekey(case, &[Direction::Tx]) {
        return;
    }
    let (mut stream, mut peer) = server(case);
    let taken = fill(&mut stream);
    stream.key_update(KeyUpdateRequest::Requested).unwrap();
    let peer = thread::spawn(move || receive_updates(&mut peer, 1));
    let mut rest = &b"under the next key"[..];
    until_done(&mut stream, |stream| {
        while !rest.is_empty() {
            let n = stream.write(rest)?;
            rest = &rest[n..];
        }
        stream.shutdown()
    });
    let (updates, received) = peer.join().unwrap();
    assert_eq!(updates, 1);
    assert!(received[..taken] == pattern(MUCH)[..taken]);
    assert_eq!(&received[taken..], b"under the next key");
}

/// How long a future may take that is then dropped: long enough to take something.
const SHORT: Duration = Duration::from_millis(20);

pub(crate) fn a_dropped_future_says_how_much_of_a_file_it_took(case: Case) {
    let file = file_of(&pattern(MUCH));
    on_tokio(async {
        let (mut stream, mut peer) = tokio_server(case).await;
        let mut range = 0..MUCH as u64;
        for _ in 0..3 {
            let sending = stream.send_file(&file, &mut range);
            tokio::time::timeout(SHORT, sending).await.unwrap_err();
        }
        assert!(0 < range.start && !range.is_empty());
        let peer = thread::spawn(move || receive_all(&mut peer, APPLICATION_DATA));
        while !range.is_empty() {
            let sending = stream.send_file(&file, &mut range);
            if let Ok(sent) = tokio::time::timeout(SHORT, sending).await {
                sent.unwrap();
            }
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.counters().tx_bytes, MUCH as u64);
        assert!(peer.join().unwrap() == pattern(MUCH));
    });
}

pub(crate) fn a_dropped_future_says_how_much_of_a_record_it_took(case: Case) {
    let data = pattern(MUCH);
    on_tokio(async {
        let (mut stream, mut peer) = tokio_server(case).await;
        let mut rest = &data[..];
        for _ in 0..3 {
            let sending = stream.send_record(ContentType(OTHER), &mut rest);
            tokio::time::timeout(SHORT, sending).await.unwrap_err();
        }
        assert!(!rest.is_empty() && rest.len() < MUCH);
        let peer = thread::spawn(move || receive_all(&mut peer, OTHER));
        while !rest.is_empty() {
            let sending = stream.send_record(ContentType(OTHER), &mut rest);
            if let Ok(sent) = tokio::time::timeout(SHORT, sending).await {
                sent.unwrap();
            }
        }
        stream.shutdown().await.unwrap();
        assert!(peer.join().unwrap() == data);
    });
}

/// It does not wait, so that nobody can drop it in between; the reader sends it.
pub(crate) fn a_key_update_does_not_wait_for_the_socket(case: Case) {
    if !can_rekey(case, &[Direction::Tx]) {
        return;
    }
    on_tokio(async {
        let (mut stream, mut peer) = tokio_server(case).await;
        let data = fill_task(&mut stream).await;
        poll_once(stream.key_update(KeyUpdateRequest::NotRequested))
            .expect("it does not wait")
            .unwrap();
        let peer = thread::spawn(move || {
            let mut received = Vec::new();
            loop {
                match peer.receive().unwrap() {
                    (APPLICATION_DATA, payload) => received.extend(payload),
                    (HANDSHAKE, message) if message == key_update(0) => break,
                    (HANDSHAKE, _) => {}
                    other => panic!("{other:?}"),
                }
            }
            peer.send(APPLICATION_DATA, b"got it");
            received
        });
        let mut got = [0; 6];
        let reading = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut got);
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("nobody sends it")
            .unwrap();
        assert_eq!(&got, b"got it");
        assert!(peer.join().unwrap() == data);
        assert_eq!(stream.counters().tx_key_updates, 1);
    });
}

/// Fills the socket: the bytes that it took.
async fn fill_task(stream: &mut TokioServer) -> Vec<u8> {
    let data = pattern(MUCH);
    let mut taken = 0;
    while let Ok(n) = tokio::time::timeout(SHORT, stream.write(&data[taken..])).await {
        taken += n.unwrap();
    }
    data[..taken].to_vec()
}

/// It was asked for first.
pub(crate) fn a_key_update_goes_out_before_the_end(case: Case) {
    if !can_rekey(case, &[Direction::Tx]) {
        return;
    }
    on_tokio(async {
        let (mut stream, mut peer) = tokio_server(case).await;
        let data = fill_task(&mut stream).await;
        poll_once(stream.key_update(KeyUpdateRequest::NotRequested))
            .expect("it does not wait")
            .unwrap();
        assert!(poll_once(stream.shutdown()).is_none());
        let peer = thread::spawn(move || {
            let mut received = Vec::new();
            loop {
                match peer.receive().unwrap() {
                    (APPLICATION_DATA, payload) => received.extend(payload),
                    (HANDSHAKE, message) if message == key_update(0) => peer.update_rx(),
                    (HANDSHAKE, _) => {}
                    (ALERT, alert) => break assert_eq!(alert, [1, 0]),
                    other => panic!("{other:?}"),
                }
            }
            received
        });
        stream.shutdown().await.unwrap();
        assert!(peer.join().unwrap() == data);
        assert_eq!(stream.counters().tx_key_updates, 1);
    });
}

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whoever asked for it does nothing more.
pub(crate) fn a_waiting_reader_is_woken_for_a_key_update(case: Case) {
    if !can_rekey(case, &[Direction::Tx]) {
        return;
    }
    on_tokio(async {
        let (mut stream, _peer) = tokio_server(case).await;
        fill_task(&mut stream).await;
        let reader = Arc::<Task>::default();
        let waker = Waker::from(Arc::clone(&reader));
        let mut cx = Context::from_waker(&waker);
        let mut byte = [0];
        let read = Pin::new(&mut stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
        assert!(read.is_pending());
        poll_once(stream.key_update(KeyUpdateRequest::NotRequested))
            .expect("it does not wait")
            .unwrap();
        assert_eq!(reader.0.load(Ordering::Relaxed), 1);
    });
}

/// Bytes of a file that the buffers of two sockets do not hold: since Linux 6.16 they grow to 32 MiB.
const ENDLESS: u64 = 1 << 28;

/// The peer goes away in the middle.
pub(crate) fn a_failure_leaves_the_count(case: Case) {
    let file = file_of(b"");
    file.set_len(ENDLESS).unwrap();
    let (mut stream, mut peer) = server(case);
    stream.get_ref().0.set_nonblocking(false).unwrap();
    let peer = thread::spawn(move || {
        assert_eq!(peer.receive().map(|(kind, _)| kind != ALERT), Some(true));
    });
    let mut range = 0..ENDLESS;
    stream.send_file(&file, &mut range).unwrap_err();
    assert!(0 < range.start && !range.is_empty(), "{range:?}");
    assert_eq!(stream.counters().tx_bytes, range.start);
    peer.join().unwrap();

    on_tokio(async {
        let (mut stream, mut peer) = tokio_server(case).await;
        let peer = thread::spawn(move || {
            assert_eq!(peer.receive().map(|(kind, _)| kind != ALERT), Some(true));
        });
        let mut range = 0..ENDLESS;
        stream.send_file(&file, &mut range).await.unwrap_err();
        assert!(0 < range.start && !range.is_empty(), "{range:?}");
        assert_eq!(stream.counters().tx_bytes, range.start);
        peer.join().unwrap();
    });
}

/// Both ends of a pipe that holds much, and does not wait.
fn large_pipe() -> (File, File) {
    let (reader, writer) = pipe();
    fcntl_setpipe_size(&writer, 1 << 20).unwrap();
    (reader, writer)
}

/// What never left a pipe can be sent elsewhere.
pub(crate) fn a_key_at_its_limit_takes_nothing_out_of_a_pipe(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.lower_limits(Limits { soft: 3, hard: 8 });
    let data = pattern(500_000);
    let (mut reader, mut writer) = large_pipe();
    writer.write_all(&data).unwrap();
    let peer = thread::spawn(move || peer.receive_data().0);
    let mut taken = 0;
    let error = loop {
        match stream.splice_from(&reader, MUCH) {
            Ok(n) => taken += n,
            Err(error) => break error,
        }
    };
    let limit = Error::Record(underseal::record::Error::ConfidentialityLimit).to_string();
    assert_eq!(Error::of(&error).unwrap().to_string(), limit);
    stream.flush().unwrap();
    drop((stream, writer));
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    assert_eq!(taken + left.len(), data.len());
    assert!(left == data[taken..]);
    assert!(peer.join().unwrap() == data[..taken]);
}

/// The good prefix went, and counts; what is refused is told by the next call.
pub(crate) fn a_refusal_behind_good_messages_out_of_a_pipe_is_told_next(case: Case) {
    let (mut stream, mut peer) = case.server();
    let parser = StreamParser::new(LengthPrefixed::new(Width::U8), 256);
    let no_x = ByMessage::new(parser, |message: &mut Message<'_>| {
        match message.pull(1..2) {
            Ok(b"X") => Verdict::Drop,
            _ => Verdict::<Target>::Pass,
        }
    });
    stream.attach(Filter::egress(no_x)).unwrap();
    let (reader, mut writer) = pipe();
    writer.write_all(b"\x02ab\x01c\x02Xd").unwrap();
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 8);
    let error = stream.splice_from(&reader, 100).unwrap_err();
    let denied = Error::of(&error);
    assert!(
        matches!(denied, Some(Error::Denied(Denied::Dropped))),
        "{error}"
    );
    writer.write_all(b"\x01e").unwrap();
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 2);
    stream.shutdown().unwrap();
    assert_eq!(
        receive_all(&mut peer, APPLICATION_DATA),
        b"\x02ab\x01c\x01e"
    );
}
