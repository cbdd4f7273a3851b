//! Giving a stream back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
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

/// Gives a message, fails once, and then says that it is at its end: as a socket that was reset.
struct FailsOnce(Vec<Option<Vec<u8>>>);

impl AsyncRead for FailsOnce {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.pop() {
            Some(Some(bytes)) => buf.put_slice(&bytes),
            Some(None) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FailsOnce {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        all: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(all.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_stream_that_failed_does_not_come_back_as_one_that_ended() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let stream = FailsOnce(vec![None, Some(frame(b"1"))]);
    let attached = mux.attach(stream).expect("attach");
    let message = recv(&mut worker).await;
    // Finding nothing to hand out, this reads, and the failure waits for a worker.
    message.into_parts().1.finish();
    assert_eq!(mux.statistics().waiting, 1);
    let Err(Closed::Io(error)) = within(attached.detach()).await else {
        panic!("the failure is lost");
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(mux.statistics().failed, 1);
}
