//! The end of a mux.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::Mux;
use underseal::mux::{Closed, Refusal};
use underseal_testkit::PATIENCE;

use crate::bed::{body, client, echo, frame, framing, recv, reply, send, settle, within};

#[tokio::test]
async fn a_shutdown_answers_what_was_read_and_then_workers_get_nothing() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    let (_idle, idle_attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    send(&mut peer, b"2").await;
    let message = recv(&mut worker).await;
    let closing = tokio::spawn({
        let mux = mux.clone();
        async move { mux.shutdown().await }
    });
    settle().await;
    assert!(matches!(
        within(idle_attached.closed()).await,
        Closed::Shutdown
    ));
    let refused = mux
        .attach(tokio::io::duplex(1).0)
        .expect_err("it is shut down");
    assert_eq!(refused.refusal, Refusal::Shutdown);
    // Sent after the shutdown: not read.
    send(&mut peer, b"3").await;
    message.reply(&frame(b"a")).await.unwrap();
    let message = recv(&mut worker).await;
    assert_eq!(body(&message), b"2");
    assert!(!closing.is_finished());
    message.reply(&frame(b"b")).await.unwrap();
    assert!(within(worker.recv()).await.is_none());
    within(closing).await.unwrap();
    assert!(matches!(within(attached.closed()).await, Closed::Shutdown));
    assert_eq!(reply(&mut peer).await, b"a");
    assert_eq!(reply(&mut peer).await, b"b");
    assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_shutdown_waits_until_everybody_was_told_of_the_last_connection() {
    let (entered, enters) = channel();
    let (go_on, waits) = channel();
    let waits = Mutex::new(waits);
    let told = Arc::new(AtomicBool::new(false));
    let telling = Arc::clone(&told);
    let mux = Mux::builder(framing())
        .on_close(move |_, _| {
            entered.send(()).unwrap();
            waits.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            telling.store(true, Ordering::SeqCst);
        })
        .build();
    let mut worker = mux.worker();
    let (_peer, attached) = client(&mux, 64);
    let aborting = thread::spawn(move || attached.abort());
    enters.recv_timeout(PATIENCE).unwrap();
    {
        let mut closing = pin!(mux.shutdown());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(closing.as_mut().poll(&mut cx).is_pending());
        let mut over = pin!(worker.recv());
        assert!(over.as_mut().poll(&mut cx).is_pending());
    }
    go_on.send(()).unwrap();
    within(mux.shutdown()).await;
    assert!(told.load(Ordering::SeqCst));
    assert!(within(worker.recv()).await.is_none());
    aborting.join().unwrap();
}

#[tokio::test]
async fn a_shutdown_waits_for_replies_to_be_read() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (mut peer, _attached) = client(&mux, 16);
    let long = vec![1; 1000];
    let sent = async { send(&mut peer, &long).await };
    within(sent).await;
    settle().await;
    let soon = Duration::from_millis(5);
    assert!(tokio::time::timeout(soon, mux.shutdown()).await.is_err());
    let closing = tokio::spawn(async move { mux.shutdown().await });
    assert_eq!(reply(&mut peer).await, long);
    within(closing).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_without_workers_ends_what_nobody_will_answer() {
    let mux = Mux::new(framing());
    let (mut peer, attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    within(mux.shutdown()).await;
    assert!(matches!(within(attached.closed()).await, Closed::Shutdown));
    assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
    // It stays so, whoever comes later.
    let mut worker = mux.worker();
    assert!(mux.attach(tokio::io::duplex(1).0).is_err());
    assert!(within(worker.recv()).await.is_none());
}

#[tokio::test]
async fn nothing_is_kept_when_nobody_is_left() {
    let kept = Arc::new(());
    let witness = Arc::downgrade(&kept);
    let mux = Mux::builder(framing())
        .on_close(move |_, _| drop(Arc::clone(&kept)))
        .build();
    let worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    // It waits for a worker, and none will come.
    send(&mut peer, b"1").await;
    assert_eq!(mux.statistics().waiting, 1);
    drop((mux, worker));
    assert!(matches!(within(attached.closed()).await, Closed::Shutdown));
    drop(attached);
    assert!(witness.upgrade().is_none(), "what is shared is kept");
}

#[tokio::test]
async fn what_is_refused_comes_back_whole() {
    let mux = Mux::builder(framing()).max_connections(0).build();
    let (mut peer, far) = tokio::io::duplex(16);
    let refused = mux.attach_with(far, b"read before".to_vec());
    let mut refused = refused.expect_err("there may be none");
    assert_eq!(refused.received, b"read before");
    peer.write_u8(7).await.unwrap();
    assert_eq!(within(refused.stream.read_u8()).await.unwrap(), 7);
}

#[tokio::test]
async fn when_nobody_is_left_the_connections_end() {
    let mux = Mux::new(framing());
    let worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    let clone = mux.clone();
    drop(mux);
    drop(clone);
    settle().await;
    let mut open = Box::pin(attached.closed());
    let soon = Duration::from_millis(2);
    assert!(
        tokio::time::timeout(soon, &mut open).await.is_err(),
        "a worker is left"
    );
    drop(worker);
    assert!(matches!(within(open).await, Closed::Shutdown));
    assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn workers_end_when_the_mux_is_gone_and_the_last_connection_has_ended() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 64);
    let serving = tokio::spawn(echo(mux.worker()));
    drop(mux);
    send(&mut peer, b"x").await;
    assert_eq!(reply(&mut peer).await, b"x");
    assert!(!serving.is_finished());
    drop(peer);
    within(serving).await.unwrap();
}

#[tokio::test]
async fn there_are_no_more_connections_than_there_may_be() {
    let mux = Mux::builder(framing()).max_connections(1).build();
    let (peer, attached) = client(&mux, 64);
    let refused = mux
        .attach(tokio::io::duplex(1).0)
        .expect_err("one is there");
    assert_eq!(refused.refusal, Refusal::TooManyConnections);
    drop(peer);
    assert!(mux.worker().try_recv().is_none());
    within(attached.closed()).await;
    client(&mux, 64);
}
