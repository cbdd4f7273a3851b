//! Connections whose stream fails by the peer's fault: it reads what was replied before, and why.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use underseal::mux::{Attached, Closed, Ordering, Reply, ReplyError, Worker};
use underseal::server::TlsStream;
use underseal::{Error, Mux, TlsAcceptor};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};
use underseal_testkit::{Certificates, KeyType, RecordPeer, Suite};

use crate::bed::{frame, framing, recv, within};
use crate::leaving::sockets;

/// More than the peer's socket takes: some of it waits in that of the mux.
const REPLY: usize = 200 * 1024;

const BAD_RECORD_MAC: u8 = 20;

/// What the peer read: bytes of replies, and the alert behind them.
type Read = (usize, Option<u8>);

/// A connection on which a reply was sent that its peer reads late, and one message is in hand.
struct Bed {
    _mux: Mux,
    worker: Worker,
    attached: Attached<TlsStream<TcpStream>>,
    in_hand: Reply,
    /// Has the peer send a last message, if it has one, what does not authenticate, and more.
    fault: Sender<()>,
    peer: JoinHandle<Read>,
}

async fn bed(suite: Suite, last: Option<&'static [u8]>) -> Bed {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (peer, server) = sockets().await;
    let peer = peer.into_std().unwrap();
    peer.set_nonblocking(false).unwrap();
    let config = certificates.client_config(suite);
    let (fault, is_due) = channel();
    let peer = spawn(move || {
        let mut peer = RecordPeer::client(peer, config);
        peer.send(APPLICATION_DATA, &frame(b"?"));
        is_due.recv().unwrap();
        let last = last.map(|body| peer.record(APPLICATION_DATA, &frame(body)));
        let fault = [&[23, 3, 3, 0, 32][..], &[0; 32]].concat();
        peer.send_bytes(&[last.unwrap_or_default(), fault].concat());
        sleep(Duration::from_millis(150));
        peer.send(APPLICATION_DATA, &[0; 10_000]);
        sleep(Duration::from_millis(150));
        read(&mut peer)
    });
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config(suite)));
    let server = within(acceptor.accept(server)).await.unwrap();
    // Reads on, with a message in hand.
    let mux = Mux::builder(framing()).ordering(Ordering::None).build();
    let attached = mux.attach(server).expect("attach");
    let mut worker = mux.worker();
    let (_, mut in_hand) = recv(&mut worker).await.into_parts();
    in_hand.send(&vec![7; REPLY]).await.unwrap();
    Bed {
        _mux: mux,
        worker,
        attached,
        in_hand,
        fault,
        peer,
    }
}

fn read(peer: &mut RecordPeer<std::net::TcpStream>) -> Read {
    let mut replied = 0;
    while let Some((content_type, payload)) = peer.receive() {
        match content_type {
            APPLICATION_DATA => replied += payload.len(),
            ALERT => return (replied, Some(payload[1])),
            _ => {}
        }
    }
    (replied, None)
}

/// Has the failure read, and looks after the connection for a while.
async fn fail(worker: &mut Worker, fault: &Sender<()>) {
    fault.send(()).unwrap();
    let nothing = timeout(Duration::from_millis(75), worker.recv());
    assert!(nothing.await.is_err());
}

fn is_failure(closed: &Closed) -> bool {
    match closed {
        Closed::Io(error) => matches!(Error::of(error), Some(Error::Record(_))),
        _ => false,
    }
}

/// Looks after the connection until it `ended`, and says how; its peer read everything.
async fn ends<T>(mut worker: Worker, peer: JoinHandle<Read>, ended: impl Future<Output = T>) -> T {
    let read = async {
        let (ended, read) = tokio::join!(ended, spawn_blocking(|| peer.join()));
        assert_eq!(
            read.unwrap().expect("a reset"),
            (REPLY, Some(BAD_RECORD_MAC))
        );
        ended
    };
    within(async {
        tokio::select! {
            _ = worker.recv() => unreachable!("nothing is handed out"),
            ended = read => ended,
        }
    })
    .await
}

#[tokio::test]
async fn the_peer_of_an_idle_connection_that_fails_reads_the_alert() {
    for suite in Suite::EACH_VERSION {
        let mut bed = bed(suite, None).await;
        bed.in_hand.finish();
        fail(&mut bed.worker, &bed.fault).await;
        let closed = ends(bed.worker, bed.peer, bed.attached.closed()).await;
        assert!(is_failure(&closed), "{closed}");
    }
}

#[tokio::test]
async fn a_reply_that_comes_too_late_learns_why_and_the_peer_reads_the_alert() {
    for suite in Suite::EACH_VERSION {
        let mut bed = bed(suite, None).await;
        fail(&mut bed.worker, &bed.fault).await;
        let late = bed.in_hand.send(&frame(b"too late")).await;
        let Err(ReplyError::Closed(why)) = late else {
            panic!("a reply behind the alert");
        };
        assert!(is_failure(&why), "{why}");
        // Unfinished, and yet that is not how the connection ends.
        drop(bed.in_hand);
        let closed = ends(bed.worker, bed.peer, bed.attached.closed()).await;
        assert!(is_failure(&closed), "{closed}");
    }
}

#[tokio::test]
async fn a_detach_that_meets_the_failure_says_so_and_the_peer_reads_the_alert() {
    for suite in Suite::EACH_VERSION {
        let mut bed = bed(suite, None).await;
        fail(&mut bed.worker, &bed.fault).await;
        let detaching = tokio::spawn(bed.attached.detach());
        bed.in_hand.finish();
        let detached = within(detaching).await.unwrap();
        let why = detached.expect_err("the stream failed");
        assert!(is_failure(&why), "{why}");
        ends(bed.worker, bed.peer, async {}).await;
    }
}

/// Reading has failed already, which nobody was told yet: so does writing, for a reason of its own.
#[tokio::test]
async fn a_reply_that_fails_first_learns_why_and_the_peer_reads_the_alert() {
    for suite in Suite::EACH_VERSION {
        let mut bed = bed(suite, Some(b"last")).await;
        bed.fault.send(()).unwrap();
        let (_, mut last) = recv(&mut bed.worker).await.into_parts();
        let sent = last.send(&frame(b"too late")).await;
        let Err(ReplyError::Closed(why)) = sent else {
            panic!("a reply behind the alert");
        };
        assert!(is_failure(&why), "{why}");
        drop((bed.in_hand, last));
        let closed = ends(bed.worker, bed.peer, bed.attached.closed()).await;
        assert!(is_failure(&closed), "{closed}");
    }
}
