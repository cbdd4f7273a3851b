//! Peers that do not read, or slowly, over TLS over TCP with little room below.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;
use std::{io, net};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_blocking;
use underseal::mux::{Attached, Closed, Message};
use underseal::server::TlsStream;
use underseal::{Error, Mux, TlsAcceptor};
use underseal_testkit::record_peer::APPLICATION_DATA;
use underseal_testkit::{Certificates, KeyType, RecordPeer, Suite};

use crate::bed::{echo, frame, framing, recv, within};

type Peer = RecordPeer<net::TcpStream>;

/// What sockets are asked to hold; the kernel doubles it.
const BUFFER: u32 = 4096;

/// More than both sockets hold, in one batch of records: a stream takes all of it at once.
const REPLY: usize = 60 * 1024;

const SUITE: Suite = Suite::Tls13Aes128;

/// A connection that has sent one request, by a peer of which the rest is as `then` says.
async fn asked<T: Send + 'static>(
    mux: &Mux,
    then: impl FnOnce(Peer) -> T + Send + 'static,
) -> (Attached<TlsStream<TcpStream>>, JoinHandle<T>) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(BUFFER).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let config = certificates.client_config(SUITE);
    let peer = spawn({
        let peer = near(&listener).await;
        move || {
            let mut peer = RecordPeer::client(peer, config);
            peer.send(APPLICATION_DATA, &frame(b"?"));
            then(peer)
        }
    });
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(SUITE)));
    let (server, _) = within(listener.accept()).await.unwrap();
    let server = within(acceptor.accept(server)).await.unwrap();
    (mux.attach(server).expect("attach"), peer)
}

async fn near(listener: &TcpListener) -> net::TcpStream {
    let near = TcpSocket::new_v4().unwrap();
    near.set_recv_buffer_size(BUFFER).unwrap();
    let near = near.connect(listener.local_addr().unwrap());
    let near = within(near).await.unwrap().into_std().unwrap();
    near.set_nonblocking(false).unwrap();
    near
}

/// Replies more than the sockets hold.
async fn reply(message: Message) {
    message.reply(&vec![7; REPLY]).await.unwrap();
}

/// A peer that reads nothing until it is told to go on, and then what there is.
fn reads_late() -> (Sender<()>, impl FnOnce(Peer) -> io::Result<Vec<u8>> + Send) {
    let (go_on, waits): (_, Receiver<()>) = channel();
    let reads = move |peer: Peer| {
        let mut io = peer.into_io();
        waits.recv().expect("the test goes on");
        let mut read = Vec::new();
        io.read_to_end(&mut read).map(|_| read)
    };
    (go_on, reads)
}

/// The end of a connection, and of its peer, which did not get all.
async fn cut_off(
    closed: impl Future<Output = Closed>,
    go_on: Sender<()>,
    peer: JoinHandle<io::Result<Vec<u8>>>,
) -> Closed {
    let closed = within(closed).await;
    go_on.send(()).unwrap();
    let read = within(spawn_blocking(|| peer.join())).await.unwrap();
    // It may be reset.
    let read = read.expect("no panic").unwrap_or_default();
    assert!(read.len() < REPLY, "it has read {} bytes", read.len());
    closed
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_ended_over_tls() {
    let limits = Mux::builder(framing()).max_connections(1);
    let mux = limits.send_timeout(Duration::from_millis(50)).build();
    let (go_on, reads) = reads_late();
    let (attached, peer) = asked(&mux, reads).await;
    let mut worker = mux.worker();
    reply(recv(&mut worker).await).await;
    tokio::spawn(echo(worker));
    let closed = cut_off(attached.closed(), go_on, peer).await;
    assert!(matches!(closed, Closed::SendTimeout), "{closed}");
    assert!(
        mux.attach(tokio::io::duplex(1).0).is_ok(),
        "its place is free"
    );
}

/// All that the stream was given it has taken long ago, and yet its peer moves.
#[tokio::test]
async fn a_slow_reader_that_moves_is_served_over_tls() {
    let mux = Mux::builder(framing())
        .send_timeout(Duration::from_secs(2))
        .build();
    let (attached, peer) = asked(&mux, |peer| {
        let mut io = peer.into_io();
        let (mut read, mut piece) = (0, [0; 512]);
        while read < REPLY {
            sleep(Duration::from_millis(40));
            match io.read(&mut piece).expect("no reset") {
                0 => break,
                n => read += n,
            }
        }
        read
    })
    .await;
    let mut worker = mux.worker();
    reply(recv(&mut worker).await).await;
    tokio::spawn(echo(worker));
    let closed = within(attached.closed()).await;
    assert!(!matches!(closed, Closed::SendTimeout), "{closed}");
    let read = within(spawn_blocking(|| peer.join())).await.unwrap();
    assert!(read.unwrap() >= REPLY);
}

#[tokio::test]
async fn an_abort_ends_a_peer_that_reads_nothing_over_tls() {
    for by_name in [false, true] {
        let mux = Mux::builder(framing()).max_connections(1).build();
        let (go_on, reads) = reads_late();
        let (attached, peer) = asked(&mux, reads).await;
        let mut worker = mux.worker();
        reply(recv(&mut worker).await).await;
        attached.close();
        match by_name {
            false => attached.abort(),
            true => assert!(mux.abort(attached.id())),
        }
        assert!(
            mux.attach(tokio::io::duplex(1).0).is_ok(),
            "its place is free"
        );
        let closed = cut_off(attached.closed(), go_on, peer).await;
        assert!(matches!(closed, Closed::Aborted), "{closed}");
    }
}

#[tokio::test]
async fn a_shutdown_with_a_time_cuts_off_who_reads_nothing_over_tls() {
    let mux = Mux::new(framing());
    let (go_on, reads) = reads_late();
    let (attached, peer) = asked(&mux, reads).await;
    let mut worker = mux.worker();
    reply(recv(&mut worker).await).await;
    tokio::spawn(echo(worker));
    let cut = within(mux.shutdown_within(Duration::from_millis(20))).await;
    assert_eq!(cut, [attached.id()]);
    let closed = cut_off(attached.closed(), go_on, peer).await;
    assert!(matches!(closed, Closed::Aborted), "{closed}");
}

/// The alert waits behind the reply, and for the same peer.
#[tokio::test]
async fn an_alert_that_is_not_read_keeps_no_place() {
    let mux = Mux::builder(framing())
        .send_timeout(Duration::from_millis(50))
        .build();
    let (go_on, reads) = reads_late();
    let (attached, peer) = asked(&mux, |mut peer| {
        // A ticket: the handshake is over. Then comes what does not authenticate.
        peer.io().read_exact(&mut [0]).unwrap();
        peer.send_bytes(&[&[23, 3, 3, 0, 32][..], &[0; 32]].concat());
        reads(peer)
    })
    .await;
    let mut worker = mux.worker();
    reply(recv(&mut worker).await).await;
    tokio::spawn(echo(worker));
    let Closed::Io(error) = cut_off(attached.closed(), go_on, peer).await else {
        panic!("the stream failed");
    };
    assert!(
        matches!(Error::of(&error), Some(Error::Record(_))),
        "{error}"
    );
}
