//! Giving a stream back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::Mux;
use underseal::mux::Closed;

use crate::bed::{body, client, echo, frame, framing, recv, reply, send, settle, within};

#[tokio::test]
async fn an_idle_stream_comes_back_at_once() {
    let mux = Mux::new(framing());
    let (mut peer, attached) = client(&mux, 64);
    let mut detached = within(attached.detach()).await.expect("it is open");
    assert!(detached.received.is_empty());
    peer.write_all(b"raw").await.unwrap();
    let mut raw = [0; 3];
    detached.stream.read_exact(&mut raw).await.unwrap();
    assert_eq!(&raw, b"raw");
    let statistics = mux.statistics();
    assert_eq!((statistics.attached, statistics.detached), (1, 1));
    assert_eq!(statistics.closed, 0);
}

#[tokio::test]
async fn a_stream_comes_back_at_a_boundary_with_what_was_read_behind_it() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    let all = [frame(b"1"), frame(b"2"), frame(b"3")[..2].to_vec()].concat();
    peer.write_all(&all).await.unwrap();
    let (_, mut first) = recv(&mut worker).await.into_parts();
    let detaching = tokio::spawn(attached.detach());
    settle().await;
    assert!(!detaching.is_finished(), "a message is in hand");
    first.send(&frame(b"a")).await.unwrap();
    first.finish();
    let detached = within(detaching).await.unwrap().expect("it is open");
    assert!(worker.try_recv().is_none());
    assert_eq!(reply(&mut peer).await, b"a");
    assert_eq!(detached.received, all[3..]);

    // And it can be attached again.
    let other = Mux::new(framing());
    tokio::spawn(echo(other.worker()));
    let attached = other.attach_with(detached.stream, detached.received);
    attached.expect("attach");
    peer.write_all(&frame(b"3")[2..]).await.unwrap();
    assert_eq!(reply(&mut peer).await, b"2");
    assert_eq!(reply(&mut peer).await, b"3");
}

#[tokio::test]
async fn a_stream_comes_back_when_its_replies_are_sent() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 16);
    send(&mut peer, b"?").await;
    let message = recv(&mut worker).await;
    message.reply(&frame(&[1; 500])).await.unwrap();
    let detaching = tokio::spawn(attached.detach());
    settle().await;
    assert!(!detaching.is_finished(), "replies wait");
    // No worker is idle: who detaches sends what waits.
    assert_eq!(reply(&mut peer).await, [1; 500]);
    within(detaching).await.unwrap().expect("it is open");
}

#[tokio::test]
async fn a_cancelled_detach_leaves_the_connection_attached() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    let message = recv(&mut worker).await;
    let soon = tokio::time::timeout(Duration::from_millis(5), attached.detach());
    assert!(soon.await.is_err());
    send(&mut peer, b"2").await;
    message.into_parts().1.finish();
    assert_eq!(body(&recv(&mut worker).await), b"2");
    assert_eq!(mux.statistics().detached, 0);
}

#[tokio::test]
async fn what_has_ended_does_not_come_back() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (peer, attached) = client(&mux, 64);
    drop(peer);
    assert!(worker.try_recv().is_none());
    let ended = within(attached.detach()).await;
    assert!(matches!(ended, Err(Closed::ByPeer)));
}
