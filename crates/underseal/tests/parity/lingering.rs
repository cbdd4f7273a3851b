//! Lingering close: the reply is delivered whatever the peer still sends, and whatever a kernel that
//! opens makes of that.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::message::{LengthPrefixed, Width};
use underseal::mux::Framing;
use underseal::{Direction, Engine, Linger, Mux};
use underseal_testkit::PATIENCE;
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::{Peer, TokioServer, on_tokio, pattern};
use crate::no_rekey::can_rekey;

/// More than a peer's socket takes while it reads nothing. The server's takes the rest.
const REPLY: usize = 256 * 1024;

/// Takes all of it.
const SEND_BUFFER: usize = 400_000;

/// A message of one byte and its length.
const QUESTION: [u8; 2] = [1, b'?'];

/// More than a socket holds that is not read, and less than is thrown away.
const MUCH: usize = 200_000;

/// What a socket holds that is not read.
const LITTLE: usize = 10_000;

/// Time in which a server begins to linger, and in which what is sent is with it.
const WAIT: Duration = Duration::from_millis(100);

const LIMITS: Linger = Linger {
    time: PATIENCE,
    bytes: usize::MAX,
};

/// Who closes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Blocking,
    Tokio,
    /// In two steps, the second by who has the time.
    Linger,
    Mux,
}

impl Way {
    const ALL: [Self; 4] = [Self::Blocking, Self::Tokio, Self::Linger, Self::Mux];

    /// What the peer got that asked, did as `then` says once all was said, and read late; and whether
    /// close_notify came.
    fn reply(self, case: Case, then: fn(Case, &mut Peer)) -> (Vec<u8>, bool) {
        let peer = match self {
            Self::Blocking => close_blocking(case, then),
            _ => on_tokio(async {
                let (mut server, peer) = case.tokio_server().await;
                set_socket_send_buffer_size(server.get_ref().0, SEND_BUFFER).unwrap();
                let (said, peer) = ask(case, peer, then);
                if let Self::Mux = self {
                    serve(server, said).await;
                    return peer;
                }
                answer(&mut server, said).await;
                match self {
                    Self::Linger => server.linger(usize::MAX).await,
                    _ => server.lingering_close(LIMITS).await.unwrap(),
                }
                peer
            }),
        };
        peer.join().unwrap()
    }
}

fn close_blocking(case: Case, then: fn(Case, &mut Peer)) -> JoinHandle<(Vec<u8>, bool)> {
    let (mut server, peer) = case.server();
    set_socket_send_buffer_size(server.get_ref().0, SEND_BUFFER).unwrap();
    let (said, peer) = ask(case, peer, then);
    server.read_exact(&mut [0; QUESTION.len()]).unwrap();
    server.write_all(&pattern(REPLY)).unwrap();
    server.shutdown().unwrap();
    said.send(()).unwrap();
    server.lingering_close(LIMITS).unwrap();
    peer
}

/// Replies, says the end, and has the peer know.
async fn answer(server: &mut TokioServer, said: Sender<()>) {
    server.read_exact(&mut [0; QUESTION.len()]).await.unwrap();
    server.write_all(&pattern(REPLY)).await.unwrap();
    server.shutdown().await.unwrap();
    said.send(()).unwrap();
}

async fn serve(server: TokioServer, said: Sender<()>) {
    let mux = Mux::new(Framing::new(100, || LengthPrefixed::new(Width::U8)));
    let mut worker = mux.worker();
    let attached = mux.attach(server).unwrap();
    let message = worker.recv().await.unwrap();
    attached.close();
    message.reply(&pattern(REPLY)).await.unwrap();
    said.send(()).unwrap();
    // Somebody has to look after what is sent later.
    tokio::select! {
        _ = worker.recv() => {}
        _ = attached.closed() => {}
    }
    attached.closed().await;
}

fn ask(
    case: Case,
    mut peer: Peer,
    then: fn(Case, &mut Peer),
) -> (Sender<()>, JoinHandle<(Vec<u8>, bool)>) {
    let (said, is_said) = mpsc::channel();
    let peer = thread::spawn(move || {
        set_socket_send_buffer_size(peer.io(), 4_096).unwrap();
        peer.send(APPLICATION_DATA, &QUESTION);
        is_said.recv_timeout(PATIENCE).unwrap();
        sleep(WAIT);
        then(case, &mut peer);
        sleep(WAIT);
        peer.receive_data()
    });
    (said, peer)
}

fn everything_arrives(case: Case, then: fn(Case, &mut Peer)) {
    for way in Way::ALL {
        let (reply, is_closed) = way.reply(case, then);
        assert!(reply == pattern(REPLY), "{way:?}: {} bytes", reply.len());
        assert!(is_closed, "{way:?}");
    }
}

/// A control message that a peer may send at any time, of which TLS 1.3 has one after which nothing
/// opens under the present key.
fn send_control(case: Case, peer: &mut Peer) {
    if case.suite.is_tls13() {
        peer.send(HANDSHAKE, &key_update(0));
        peer.update_tx();
    } else {
        // A ClientHello asks for a renegotiation.
        peer.send(HANDSHAKE, &[1, 0, 0, 0]);
    }
}

/// Whether nothing behind a key update of the peer opens.
fn ends_at_an_update(case: Case) -> bool {
    case.suite.is_tls13() && case.cannot_rekey(Direction::Rx).is_some()
}

pub(crate) fn a_key_update_costs_its_peer_no_reply(case: Case) {
    if ends_at_an_update(case) {
        case.unsupported("what is behind a key update is not thrown away");
    }
    everything_arrives(case, |case, peer| {
        peer.send(APPLICATION_DATA, &pattern(LITTLE));
        send_control(case, peer);
        let len = match ends_at_an_update(case) {
            true => LITTLE,
            false => MUCH,
        };
        for chunk in pattern(len).chunks(LITTLE) {
            peer.send(APPLICATION_DATA, chunk);
        }
    });
}

pub(crate) fn a_record_that_does_not_open_costs_its_peer_no_reply(case: Case) {
    everything_arrives(case, |_, peer| {
        let mut record = peer.record(APPLICATION_DATA, b"changed on the way");
        *record.last_mut().unwrap() ^= 1;
        peer.send_bytes(&record);
        peer.send(APPLICATION_DATA, &pattern(LITTLE));
    });
}

/// The kernel has an opinion of it at once, and tells who sends then.
pub(crate) fn a_record_of_another_version_costs_its_peer_no_reply(case: Case) {
    everything_arrives(case, |_, peer| {
        peer.send_bytes(b"GET / HTTP/1.1\r\n\r\n");
    });
}

pub(crate) fn half_a_record_at_the_end_costs_its_peer_no_reply(case: Case) {
    everything_arrives(case, |_, peer| {
        let record = peer.record(APPLICATION_DATA, &[7; 100]);
        peer.send_bytes(&record[..50]);
        peer.io().shutdown(Shutdown::Write).unwrap();
    });
}

/// Who knows of nothing but the socket cannot follow its keys.
pub(crate) fn a_socket_alone_is_lingered_on(case: Case) {
    let peer = on_tokio(async {
        let (mut server, peer) = case.tokio_server().await;
        set_socket_send_buffer_size(server.get_ref().0, SEND_BUFFER).unwrap();
        let (said, peer) = ask(case, peer, |case, peer| {
            send_control(case, peer);
            peer.send(APPLICATION_DATA, &pattern(LITTLE));
        });
        answer(&mut server, said).await;
        underseal::linger(server.get_ref().0, usize::MAX).await;
        peer
    });
    assert!(peer.join().unwrap() == (pattern(REPLY), true));
}

/// The time is what ends a close where nothing can be thrown away.
pub(crate) fn a_peer_whose_record_does_not_open_is_let_go(case: Case) {
    let limits = Linger {
        time: Duration::from_millis(120),
        ..LIMITS
    };
    let spoil = |peer: &mut Peer| {
        let mut record = peer.record(APPLICATION_DATA, b"changed on the way");
        *record.last_mut().unwrap() ^= 1;
        peer.send_bytes(&record);
    };
    let (server, mut peer) = case.server();
    spoil(&mut peer);
    server.lingering_close(limits).unwrap();
    is_let_go(&mut peer);
    on_tokio(async {
        let (server, mut peer) = case.tokio_server().await;
        spoil(&mut peer);
        server.lingering_close(limits).await.unwrap();
        is_let_go(&mut peer);
    });
}

/// Nobody takes bytes at the other end any more.
fn is_let_go(peer: &mut Peer) {
    while peer.io().write_all(&[0; 1_000]).is_ok() {}
}

/// Each costs a new key: few use up what may be thrown away.
pub(crate) fn a_peer_that_updates_its_key_all_the_time_is_let_go(case: Case) {
    if !can_rekey(case, &[Direction::Rx]) {
        return;
    }
    on_tokio(async {
        let (mut server, mut peer) = case.tokio_server().await;
        let mut bytes = Vec::new();
        for _ in 0..1_000 {
            bytes.extend(peer.record(APPLICATION_DATA, b"?"));
            bytes.extend(peer.record(HANDSHAKE, &key_update(1)));
            peer.update_tx();
        }
        peer.send_bytes(&bytes);
        server.shutdown().await.unwrap();
        server.linger(40_000).await;
        let followed = match case.engines.rx {
            Engine::Kernel => 10,
            _ => 0,
        };
        assert_eq!(server.counters().rx_key_updates, followed);
    });
}
