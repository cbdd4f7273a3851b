//! Programs that redirect to their own stream, or round in a circle: whoever waits for room sends what
//! waits for it first.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use underseal::Error;
use underseal::message::{
    Denied, Filter, Message, MessageDirection, Peer as Target, Program, Verdict,
};
use underseal_testkit::PATIENCE;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Peer, on_tokio, pattern};
use crate::endings::CLOSE_NOTIFY;

/// What waits for a stream at most; each message of these tests is longer or nearly so.
const LIMIT: usize = 10_000;

const LEN: usize = 400_000;

/// A program that redirects everything.
fn redirect(to: &Target, direction: MessageDirection) -> impl Program<Target> + Send + 'static {
    let to = to.clone();
    move |_: &mut Message<'_>| Verdict::Redirect {
        to: to.clone(),
        direction,
    }
}

/// A program that redirects everything to be sent, and none of it before the end.
fn redirect_at_the_end(to: &Target) -> impl Program<Target> + Send + 'static {
    let to = to.clone();
    move |message: &mut Message<'_>| match message.cork_bytes(1_000_000) {
        Ok(()) => Verdict::Pass,
        Err(_) => Verdict::Redirect {
            to: to.clone(),
            direction: MessageDirection::Egress,
        },
    }
}

fn receive_all(mut peer: Peer) -> JoinHandle<(Vec<u8>, bool)> {
    thread::spawn(move || peer.receive_data())
}

/// As much data as was asked for.
fn receive(peer: &mut Peer, len: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < len {
        match peer.receive().unwrap() {
            (APPLICATION_DATA, payload) => received.extend(payload),
            (ALERT, alert) => panic!("{alert:?} after {} bytes", received.len()),
            _ => {}
        }
    }
    received
}

/// More than its limit in one write, and nothing waits for a later call.
pub(crate) fn a_writer_sends_what_it_redirects_to_itself(case: Case) {
    let (mut stream, mut peer) = case.server();
    let to = stream.redirect_peer(LIMIT);
    let program = redirect(&to, MessageDirection::Egress);
    stream.attach(Filter::egress(program)).unwrap();
    let data = pattern(LEN);
    let peer = thread::spawn(move || (receive(&mut peer, LEN), peer));
    stream.write_all(&data).unwrap();
    let (received, mut peer) = peer.join().unwrap();
    assert!(received == data);
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (Vec::new(), true));
}

pub(crate) fn a_task_sends_what_it_redirects_to_itself(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let to = stream.redirect_peer(LIMIT);
        let program = redirect(&to, MessageDirection::Egress);
        stream.attach(Filter::egress(program)).unwrap();
        let data = pattern(LEN);
        let reading = spawn_blocking(move || (receive(&mut peer, LEN), peer));
        timeout(PATIENCE, stream.write_all(&data))
            .await
            .expect("a writer waits for itself")
            .unwrap();
        stream.flush().await.unwrap();
        let (received, mut peer) = reading.await.unwrap();
        assert!(received == data);
        // The last piece goes without a flush, where there is room.
        stream.write_all(b"the last piece").await.unwrap();
        let reading = spawn_blocking(move || receive(&mut peer, 14));
        assert_eq!(reading.await.unwrap(), b"the last piece");
    });
}

/// Data that the peer gets back piece by piece, each longer than the limit, while nobody writes.
fn echo(peer: &mut Peer) {
    for piece in pattern(LEN).chunks(16_000) {
        peer.send(APPLICATION_DATA, piece);
        assert!(receive(peer, piece.len()) == piece);
    }
    peer.send(ALERT, &CLOSE_NOTIFY);
}

pub(crate) fn a_reader_sends_what_it_redirects_to_its_own_peer(case: Case) {
    let (mut stream, mut peer) = case.server();
    let to = stream.redirect_peer(LIMIT);
    let program = redirect(&to, MessageDirection::Egress);
    stream.attach(Filter::ingress(program)).unwrap();
    let peer = thread::spawn(move || {
        echo(&mut peer);
        peer
    });
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
    peer.join().unwrap();

    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let to = stream.redirect_peer(LIMIT);
        let program = redirect(&to, MessageDirection::Egress);
        stream.attach(Filter::ingress(program)).unwrap();
        let peer = spawn_blocking(move || {
            echo(&mut peer);
            peer
        });
        let read = timeout(PATIENCE, stream.read(&mut [0; 100])).await;
        assert_eq!(read.expect("a reader waits for itself").unwrap(), 0);
        peer.await.unwrap();
    });
}

/// What the program held to the end goes before close_notify.
pub(crate) fn a_stream_that_ends_sends_what_it_redirects_to_itself(case: Case) {
    let data = pattern(3 * LIMIT);
    let (mut stream, peer) = case.server();
    let to = stream.redirect_peer(LIMIT);
    stream
        .attach(Filter::egress(redirect_at_the_end(&to)))
        .unwrap();
    stream.write_all(&data).unwrap();
    let peer = receive_all(peer);
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (data.clone(), true));

    on_tokio(async {
        let (mut stream, peer) = case.tokio_server().await;
        let to = stream.redirect_peer(LIMIT);
        stream
            .attach(Filter::egress(redirect_at_the_end(&to)))
            .unwrap();
        stream.write_all(&data).await.unwrap();
        let peer = receive_all(peer);
        timeout(PATIENCE, stream.shutdown())
            .await
            .expect("a stream waits for itself")
            .unwrap();
        assert!(peer.join().unwrap() == (data, true));
    });
}

/// Two threads that read, each from a stream whose program redirects to the other's peer.
pub(crate) fn streams_that_redirect_to_each_other_wait_for_nobody(case: Case) {
    let (mut one, one_peer) = case.server();
    let (mut other, other_peer) = case.server();
    let (to_one, to_other) = (one.redirect_peer(LIMIT), other.redirect_peer(LIMIT));
    let program = redirect(&to_other, MessageDirection::Egress);
    one.attach(Filter::ingress(program)).unwrap();
    let program = redirect(&to_one, MessageDirection::Egress);
    other.attach(Filter::ingress(program)).unwrap();
    let peers = [one_peer, other_peer].map(|mut peer| {
        thread::spawn(move || {
            for piece in pattern(LEN).chunks(16_000) {
                peer.send(APPLICATION_DATA, piece);
            }
            peer.send(ALERT, &CLOSE_NOTIFY);
            (receive(&mut peer, LEN), peer)
        })
    });
    let at_end = Arc::new(AtomicUsize::new(0));
    let readers = [one, other].map(|mut stream| {
        let at_end = Arc::clone(&at_end);
        thread::spawn(move || {
            assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
            at_end.fetch_add(1, Ordering::SeqCst);
            // The other one still needs room.
            while at_end.load(Ordering::SeqCst) < 2 {
                stream.flush().unwrap();
                thread::yield_now();
            }
            stream.flush().unwrap();
            stream
        })
    });
    let _streams = readers.map(|reader| reader.join().unwrap());
    for peer in peers {
        assert!(peer.join().unwrap().0 == pattern(LEN));
    }
}

/// Nobody but the thread that writes could read it: it is told to.
pub(crate) fn a_thread_does_not_wait_for_itself_to_read(case: Case) {
    let (mut stream, _peer) = case.server();
    let to = stream.redirect_peer(LIMIT);
    let program = redirect(&to, MessageDirection::Ingress);
    stream.attach(Filter::egress(program)).unwrap();
    let data = pattern(LEN);
    let (mut taken, mut read) = (0, Vec::new());
    let mut was_full = 0;
    while read.len() < LEN {
        match stream.write(&data[taken..]) {
            Ok(n) => taken += n,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                was_full += 1;
            }
        }
        while to.waiting(MessageDirection::Ingress) > 0 {
            let mut piece = [0; LIMIT];
            let n = stream.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..n]);
        }
    }
    assert!(read == data && was_full == 0, "{was_full} times");
    // A message of which nothing has room, since nobody has read the one before.
    assert_eq!(stream.write(&data[..LIMIT]).unwrap(), LIMIT);
    let error = stream.write(&data[..LIMIT]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
}

/// What is taken would be lost.
pub(crate) fn a_stream_that_lost_its_peer_is_redirected_nothing(case: Case) {
    let (mut from, _from_peer) = case.server();
    let (mut to, to_peer) = case.server();
    let target = to.redirect_peer(LIMIT);
    let program = redirect(&target, MessageDirection::Egress);
    from.attach(Filter::egress(program)).unwrap();
    drop(to_peer);
    // The first may go into the socket yet.
    while to.write(b"lost").is_ok() {}
    from.write_all(b"lost, too").unwrap();
    let _ = to.flush();
    let error = from.write(b"late").unwrap_err();
    assert!(matches!(
        Error::of(&error),
        Some(Error::Denied(Denied::Dropped))
    ));
}

/// The direction is over, and would go on unjudged.
pub(crate) fn a_program_that_panicked_cannot_be_taken_away(case: Case) {
    let (mut stream, peer) = case.server();
    let panics = |message: &mut Message<'_>| match message.pull(0..1) {
        Ok(b"!") => std::panic::resume_unwind(Box::new("the program's own")),
        _ => Verdict::<Target>::Pass,
    };
    stream.attach(Filter::egress(panics)).unwrap();
    stream.write_all(b"sent").unwrap();
    stream.write(b"!").unwrap_err();
    for _ in 0..2 {
        let refused = stream.detach(MessageDirection::Egress).unwrap_err();
        assert!(matches!(refused, Error::Denied(Denied::Panicked)));
        let error = stream.write(b"unjudged").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    drop(stream);
    assert_eq!(receive_all(peer).join().unwrap(), (b"sent".to_vec(), false));
}
