//! Lingering close over TCP: the last reply is delivered whatever the peer still sends, and a peer
//! that never closes is let go.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use underseal::{Linger, ServerConnection, TlsAcceptor, blocking, server};
use underseal_testkit::{Certificates, KeyType, PATIENCE, RecordPeer, Suite, notify_of_deliveries};

use crate::pairs::pattern;

const REPLY: usize = 400 * 1024;

/// More than the server reads, in two parts: one waits when it closes, one comes later.
const UNREAD: usize = 20_000;

type Peer = RecordPeer<TcpStream>;

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, near)
}

/// A client, in a thread, that handshakes with what is returned and then does as `then` says.
fn client<T: Send + 'static>(
    suite: Suite,
    then: impl FnOnce(Peer) -> T + Send + 'static,
) -> (TcpStream, Certificates, thread::JoinHandle<T>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (server, socket) = sockets();
    let config = certificates.client_config(suite);
    let peer = thread::spawn(move || then(Peer::client(socket, config)));
    (server, certificates, peer)
}

fn accept(
    socket: TcpStream,
    certificates: &Certificates,
    suite: Suite,
) -> blocking::TlsStream<TcpStream, ServerConnection> {
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    acceptor.accept(socket).unwrap()
}

async fn accept_on_tokio(
    socket: TcpStream,
    certificates: &Certificates,
    suite: Suite,
) -> server::TlsStream<tokio::net::TcpStream> {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    acceptor.accept(socket).await.unwrap()
}

/// Asks, sends more than is read, and reads the reply late. What came, and whether close_notify
/// did.
fn asks_and_reads_late(mut peer: Peer) -> (Vec<u8>, bool) {
    peer.send(23, b"?");
    peer.send(23, &pattern(UNREAD / 2));
    thread::sleep(Duration::from_millis(200));
    peer.send(23, &pattern(UNREAD / 2));
    thread::sleep(Duration::from_millis(200));
    let (reply, is_closed) = peer.receive_data();
    assert!(
        peer.receive().is_none(),
        "nothing comes behind close_notify"
    );
    (reply, is_closed)
}

/// What a peer does that does not close: nothing, or sending without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    Silent,
    Sending,
}

impl Stays {
    const ALL: [Self; 2] = [Self::Silent, Self::Sending];

    /// Limits of which only one can end the wait for such a peer.
    fn limits(self) -> Linger {
        let (time, bytes) = match self {
            Self::Silent => (Duration::from_millis(50), usize::MAX),
            Self::Sending => (Duration::from_secs(3600), 200_000),
        };
        Linger { time, bytes }
    }

    fn run(self, mut peer: Peer) -> Peer {
        match self {
            Self::Silent => {}
            Self::Sending => while send(&mut peer).is_ok() {},
        }
        peer
    }
}

#[test]
fn a_peer_that_sends_on_gets_the_whole_reply_of_a_blocking_stream() {
    for suite in Suite::EACH_VERSION {
        let (socket, certificates, peer) = client(suite, asks_and_reads_late);
        let mut server = accept(socket, &certificates, suite);
        server.read_exact(&mut [0]).unwrap();
        server.write_all(&pattern(REPLY)).unwrap();
        server.lingering_close(Linger::default()).unwrap();
        let (reply, is_closed) = peer.join().unwrap();
        assert!(reply == pattern(REPLY) && is_closed, "{}", reply.len());
    }
}

#[tokio::test]
async fn a_peer_that_sends_on_gets_the_whole_reply_of_a_tokio_stream() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for suite in Suite::EACH_VERSION {
        let (socket, certificates, peer) = client(suite, asks_and_reads_late);
        let mut server = accept_on_tokio(socket, &certificates, suite).await;
        server.read_exact(&mut [0]).await.unwrap();
        server.write_all(&pattern(REPLY)).await.unwrap();
        server.lingering_close(Linger::default()).await.unwrap();
        let (reply, is_closed) = peer.join().unwrap();
        assert!(reply == pattern(REPLY) && is_closed, "{}", reply.len());
    }
}

/// Longer than any clock counts: as long as the peer takes.
#[tokio::test]
async fn a_close_without_a_limit_of_time_waits_for_the_peer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let suite = Suite::Tls13Aes128;
    let limits = Linger {
        time: Duration::MAX,
        ..Linger::default()
    };
    let (socket, certificates, peer) = client(suite, asks_and_reads_late);
    let mut server = accept(socket, &certificates, suite);
    server.read_exact(&mut [0]).unwrap();
    server.write_all(&pattern(REPLY)).unwrap();
    server.lingering_close(limits).unwrap();
    let (reply, is_closed) = peer.join().unwrap();
    assert!(reply == pattern(REPLY) && is_closed, "{}", reply.len());

    let (socket, certificates, peer) = client(suite, asks_and_reads_late);
    let mut server = accept_on_tokio(socket, &certificates, suite).await;
    server.read_exact(&mut [0]).await.unwrap();
    server.write_all(&pattern(REPLY)).await.unwrap();
    server.lingering_close(limits).await.unwrap();
    let (reply, is_closed) = peer.join().unwrap();
    assert!(reply == pattern(REPLY) && is_closed, "{}", reply.len());
}

fn send(peer: &mut Peer) -> io::Result<()> {
    let record = peer.record(23, &pattern(10_000));
    peer.io().write_all(&record)
}

#[test]
fn a_blocking_stream_lets_go_of_a_peer_that_does_not_close() {
    for stays in Stays::ALL {
        let suite = Suite::Tls13Aes128;
        let (socket, certificates, peer) = client(suite, move |peer| stays.run(peer));
        let server = accept(socket, &certificates, suite);
        server.lingering_close(stays.limits()).unwrap();
        let mut peer = peer.join().unwrap();
        is_let_go(peer.io());
    }
}

#[tokio::test]
async fn a_tokio_stream_lets_go_of_a_peer_that_does_not_close() {
    for stays in Stays::ALL {
        let suite = Suite::Tls13Aes128;
        let (socket, certificates, peer) = client(suite, move |peer| stays.run(peer));
        let server = accept_on_tokio(socket, &certificates, suite).await;
        server.lingering_close(stays.limits()).await.unwrap();
        let mut peer = peer.join().unwrap();
        is_let_go(peer.io());
    }
}

/// The socket always has something to say (`POLLERR`), and nothing to read.
#[test]
fn a_notification_for_the_owner_of_the_socket_does_not_keep_a_close() {
    let suite = Suite::Tls13Aes128;
    let (socket, certificates, peer) = client(suite, |peer| peer);
    notify_of_deliveries(&socket);
    let server = accept(socket, &certificates, suite);
    let closing = thread::spawn(move || server.lingering_close(Stays::Silent.limits()));
    let mut peer = peer.join().unwrap();
    let start = Instant::now();
    while !closing.is_finished() {
        assert!(start.elapsed() < PATIENCE, "it goes on for ever");
        thread::sleep(Duration::from_millis(10));
    }
    closing.join().unwrap().unwrap();
    is_let_go(peer.io());
}

/// Nobody takes bytes at the other end any more.
fn is_let_go(mut socket: &TcpStream) {
    while socket.write_all(&[0; 1000]).is_ok() {}
}
