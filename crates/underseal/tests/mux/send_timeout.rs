//! Peers that do not read what they are sent: they are ended in the end, and no other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, thread};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};
use tokio::runtime::Builder;
use tokio::time::sleep;
use underseal::Mux;
use underseal::mux::{Closed, Framing, ReplyError};
use underseal_message::{LengthPrefixed, Width};
use underseal_testkit::PATIENCE;

use crate::aborting::{LONG, stuck};
use crate::bed::{client, echo, frame, framing, reply as answer, send, within};
use crate::wire::Wire;

/// Soon, for tests in which the limit is reached.
const SOON: Duration = Duration::from_millis(30);
/// For those in which it is not: others may use the machine.
const LATER: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_peer_that_reads_nothing_is_ended_and_its_place_is_free() {
    let limits = Mux::builder(framing()).max_connections(1);
    let mux = limits.send_timeout(SOON).build();
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    tokio::spawn(echo(worker));
    let closed = within(attached.closed()).await;
    assert!(matches!(closed, Closed::SendTimeout), "{closed}");
    let (mut other, _attached) = client(&mux, 64);
    send(&mut other, b"!").await;
    assert_eq!(answer(&mut other).await, b"!");
    let statistics = mux.statistics();
    assert_eq!((statistics.closed, statistics.timed_out), (1, 1));
}

#[tokio::test]
async fn a_worker_that_waits_for_room_learns_why_it_does_so_in_vain() {
    let limits = Mux::builder(framing()).reply_limit(1);
    let mux = limits.send_timeout(SOON).build();
    let mut worker = mux.worker();
    let (_peer, attached, mut reply) = stuck(&mux, &mut worker).await;
    let sent = within(reply.send(&frame(&LONG))).await;
    let Err(ReplyError::Closed(Closed::SendTimeout)) = sent else {
        panic!("{sent:?}");
    };
    drop(reply);
    let closed = within(attached.closed()).await;
    assert!(matches!(closed, Closed::SendTimeout), "{closed}");
}

#[tokio::test]
async fn a_detach_from_a_peer_that_reads_nothing_says_so() {
    let mux = Mux::builder(framing()).send_timeout(SOON).build();
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    let detached = within(attached.detach()).await;
    assert!(matches!(detached, Err(Closed::SendTimeout)));
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_the_limit_for_who_reads_nothing() {
    let mux = Mux::builder(framing()).send_timeout(SOON).build();
    let mut worker = mux.worker();
    let (_peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    tokio::spawn(echo(worker));
    within(mux.shutdown()).await;
    assert!(matches!(attached.closed().await, Closed::SendTimeout));
}

#[tokio::test]
async fn a_slow_reader_that_moves_is_served() {
    let mux = Mux::builder(framing()).send_timeout(LATER).build();
    let mut worker = mux.worker();
    let (mut peer, attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    tokio::spawn(echo(worker));
    let mut read = Vec::new();
    while read.len() < frame(&LONG).len() {
        sleep(Duration::from_millis(45)).await;
        read.push(within(peer.read_u8()).await.unwrap());
    }
    assert_eq!(read, frame(&LONG));
    drop(peer);
    let closed = within(attached.closed()).await;
    assert!(matches!(closed, Closed::ByPeer), "{closed}");
}

#[tokio::test]
async fn a_peer_may_be_idle_for_longer_than_it_may_read_nothing() {
    let mux = Mux::builder(framing()).send_timeout(SOON).build();
    tokio::spawn(echo(mux.worker()));
    // Had to wait once, for a short time.
    let (mut peer, _attached) = client(&mux, 16);
    send(&mut peer, &LONG[..14]).await;
    assert_eq!(answer(&mut peer).await, &LONG[..14]);
    sleep(SOON * 4).await;
    send(&mut peer, b"still there").await;
    assert_eq!(answer(&mut peer).await, b"still there");
}

#[tokio::test]
async fn without_a_limit_a_peer_may_take_its_time() {
    let mux = Mux::builder(framing()).send_timeout(None).build();
    let mut worker = mux.worker();
    let (mut peer, _attached, reply) = stuck(&mux, &mut worker).await;
    reply.finish();
    tokio::spawn(echo(worker));
    sleep(SOON * 4).await;
    assert_eq!(answer(&mut peer).await, LONG);
}

/// Never done with its end.
struct NeverShut(DuplexStream);

impl AsyncRead for NeverShut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for NeverShut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_goodbye_that_is_not_read_keeps_no_place() {
    let mux = Mux::builder(framing()).send_timeout(SOON).build();
    tokio::spawn(echo(mux.worker()));
    let (_peer, far) = tokio::io::duplex(64);
    let attached = mux.attach(NeverShut(far)).expect("attach");
    attached.close();
    let closed = within(attached.closed()).await;
    assert!(matches!(closed, Closed::ByOwner), "{closed}");
}

/// All workers wait for peers that read nothing.
#[tokio::test]
async fn threads_that_wait_for_such_peers_are_free_again() {
    let limits = Mux::builder(framing()).reply_limit(1);
    let mux = limits.send_timeout(SOON).build();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let mut worker = mux.worker();
            thread::spawn(move || {
                while let Some(message) = worker.recv_blocking() {
                    let (bytes, mut reply) = message.into_parts();
                    for _ in 0..=bytes[2] {
                        if reply.send_blocking(&frame(&LONG)).is_err() {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    let mut peers: Vec<_> = (0..3).map(|_| client(&mux, 16)).collect();
    for (peer, _) in &mut peers {
        send(peer, &[9]).await;
    }
    for (_, attached) in &peers {
        let closed = within(attached.closed()).await;
        assert!(matches!(closed, Closed::SendTimeout), "{closed}");
    }
    let (mut other, _attached) = client(&mux, 200);
    send(&mut other, &[0]).await;
    assert_eq!(answer(&mut other).await, LONG);
    drop((other, mux));
    for thread in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join());
        within(joined).await.unwrap().unwrap();
    }
}

/// Nothing here has a clock but the thread itself, which waits for messages, then for room.
#[test]
fn a_thread_without_any_runtime_keeps_the_time_itself() {
    let limits = Mux::builder(Framing::new(100, || LengthPrefixed::new(Width::U8)));
    let (ended, endings) = channel();
    let limits = limits.on_close(move |_, why| ended.send(why.clone()).unwrap());
    let mux = limits.reply_limit(1).send_timeout(SOON).build();
    let mut worker = mux.worker();
    let thread = thread::spawn(move || {
        while let Some(message) = worker.recv_blocking() {
            let (bytes, mut reply) = message.into_parts();
            for _ in 0..bytes[1] {
                if reply.send_blocking(&[1, 7]).is_err() {
                    break;
                }
            }
            reply.finish();
        }
    });
    for replies in [1, 2] {
        let wire = Wire::default();
        let _attached = mux.attach(wire.clone()).expect("attach");
        wire.change(|ends| ends.coming.extend([1, replies]));
        let closed = endings.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(closed, Closed::SendTimeout), "{closed}");
    }
    drop(mux);
    thread.join().unwrap();
}

#[test]
fn threads_that_drive_the_runtime_keep_the_time() {
    let runtime = Arc::new(Builder::new_current_thread().enable_io().build().unwrap());
    let mux = Mux::builder(framing()).send_timeout(SOON).build();
    let mut worker = mux.driving_worker(&runtime);
    let entered = runtime.enter();
    let (mut peer, far) = tokio::io::duplex(16);
    let attached = mux.attach(far).expect("attach");
    drop(entered);
    let thread = thread::spawn(move || {
        let message = worker.recv_blocking().unwrap();
        message.reply_blocking(&frame(&LONG)).unwrap();
        assert!(worker.recv_blocking().is_none());
    });
    let ended = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            send(&mut peer, b"1").await;
            within(attached.closed()).await
        })
    });
    let closed = ended.join().unwrap();
    assert!(matches!(closed, Closed::SendTimeout), "{closed}");
    drop(mux);
    thread.join().unwrap();
}
