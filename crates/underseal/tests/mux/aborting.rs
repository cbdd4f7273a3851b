//! Connections whose peer does not read its replies, and who ends them.

use std::thread;
use std::time::Duration;

use tokio::io::DuplexStream;
use underseal::Mux;
use underseal::mux::{Attached, Closed, Reply, ReplyError, Worker};

use crate::bed::{client, echo, frame, framing, recv, send, settle, within};

/// Longer than the pipe.
pub(crate) const LONG: [u8; 100] = [7; 100];

/// A connection whose peer asks and does not read, and what its worker replies with.
pub(crate) async fn stuck(
    mux: &Mux,
    worker: &mut Worker,
) -> (DuplexStream, Attached<DuplexStream>, Reply) {
    let (mut peer, attached) = client(mux, 16);
    send(&mut peer, b"1").await;
    let (_, mut reply) = recv(worker).await.into_parts();
    reply.send(&frame(&LONG)).await.unwrap();
    (peer, attached, reply)
}

#[tokio::test]
async fn an_abort_frees_the_place_of_a_peer_that_does_not_read() {
    let mux = Mux::builder(framing()).max_connections(1).build();
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    attached.close();
    settle().await;
    assert!(mux.attach(tokio::io::duplex(1).0).is_err(), "it is closing");
    attached.abort();
    let (_other, _attached) = client(&mux, 64);
    assert!(matches!(within(attached.closed()).await, Closed::Aborted));
    let statistics = mux.statistics();
    assert_eq!((statistics.closed, statistics.aborted), (1, 1));
}

#[tokio::test]
async fn a_reply_that_waits_for_room_fails_when_its_connection_is_aborted() {
    let mux = Mux::builder(framing()).reply_limit(1).build();
    let mut worker = mux.worker();
    let (_peer, attached, mut reply) = stuck(&mux, &mut worker).await;
    let waiting = tokio::spawn(async move { reply.send(&frame(&LONG)).await });
    settle().await;
    assert!(!waiting.is_finished());
    assert!(mux.abort(attached.id()));
    let sent = within(waiting).await.unwrap();
    assert!(matches!(sent, Err(ReplyError::Closed(Closed::Aborted))));
    // The reply handle was dropped unfinished: the first reason stays.
    assert!(matches!(within(attached.closed()).await, Closed::Aborted));
    assert!(!mux.abort(attached.id()), "it is gone");
}

#[tokio::test]
async fn a_detach_of_a_connection_that_is_aborted_says_so() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    let id = attached.id();
    let detaching = tokio::spawn(attached.detach());
    settle().await;
    assert!(mux.abort(id));
    let detached = within(detaching).await.unwrap();
    assert!(matches!(detached, Err(Closed::Aborted)));
    drop(reply);
}

#[tokio::test]
async fn a_shutdown_with_a_time_cuts_off_who_does_not_read_and_no_other() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    let (_idle, idle_attached) = client(&mux, 64);
    let closing = mux.shutdown_within(Duration::from_millis(20));
    assert_eq!(within(closing).await, [attached.id()]);
    assert!(matches!(within(attached.closed()).await, Closed::Aborted));
    assert!(matches!(
        within(idle_attached.closed()).await,
        Closed::Shutdown
    ));
    assert!(within(worker.recv()).await.is_none());
}

#[tokio::test]
async fn a_shutdown_with_a_time_that_is_not_needed_cuts_nobody_off() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (_peer, _attached) = client(&mux, 64);
    let closing = mux.shutdown_within(Duration::from_secs(3600));
    assert_eq!(within(closing).await, []);
}

#[tokio::test]
async fn a_shutdown_with_no_time_cuts_off_at_once() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (_peer, attached, _reply) = stuck(&mux, &mut worker).await;
    let closing = mux.shutdown_within(Duration::ZERO);
    assert_eq!(within(closing).await, [attached.id()]);
}

#[tokio::test]
async fn a_thread_shuts_down_within_a_time() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (_peer, attached, _reply) = stuck(&mux, &mut worker).await;
    let closing = thread::spawn({
        let mux = mux.clone();
        move || mux.shutdown_within_blocking(Duration::from_millis(20))
    });
    assert!(matches!(within(attached.closed()).await, Closed::Aborted));
    assert_eq!(closing.join().unwrap(), [attached.id()]);
}
