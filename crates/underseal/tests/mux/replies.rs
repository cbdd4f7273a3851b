//! Replies: whole, never interleaved, and what becomes of them when the peer does not read.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::Mux;
use underseal::mux::{Closed, Ordering, ReplyError};
use underseal_message::ParseError;

use crate::bed::{body, client, echo, frame, framing, recv, reply, send, settle, within};

#[tokio::test]
async fn a_message_may_have_many_replies_or_none() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, _attached) = client(&mux, 4096);
    send(&mut peer, b"none").await;
    recv(&mut worker).await.into_parts().1.finish();
    send(&mut peer, b"many").await;
    let (_, mut many) = recv(&mut worker).await.into_parts();
    for number in 0..10 {
        many.send(&frame(&[number])).await.unwrap();
    }
    many.finish();
    for number in 0..10 {
        assert_eq!(reply(&mut peer).await, [number]);
    }
    let statistics = mux.statistics();
    assert_eq!((statistics.rx_messages, statistics.rx_bytes), (2, 12));
    assert_eq!((statistics.tx_messages, statistics.tx_bytes), (10, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_of_several_workers_never_interleave() {
    let mux = Mux::builder(framing()).ordering(Ordering::None).build();
    // The pipe is far smaller than a reply, so that none is taken at once.
    let (mut peer, _attached) = client(&mux, 100);
    for _ in 0..4 {
        tokio::spawn(echo(mux.worker()));
    }
    for number in 0..8 {
        send(&mut peer, &[number; 40]).await;
    }
    let (mut read, mut write) = tokio::io::split(peer);
    let sent = async {
        for number in 8..60 {
            let request = frame(&[number; 1000]);
            write.write_all(&request).await.unwrap();
        }
    };
    let received = async {
        let mut seen = Vec::new();
        for _ in 0..60 {
            let len = read.read_u16().await.unwrap();
            let mut body = vec![0; usize::from(len)];
            read.read_exact(&mut body).await.unwrap();
            assert!(
                body.iter().all(|byte| *byte == body[0]),
                "two replies in one"
            );
            seen.push(body[0]);
        }
        seen
    };
    let ((), mut seen) = within(async { tokio::join!(sent, received) }).await;
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..60));
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_its_queue_and_delays_only_itself() {
    let mux = Mux::builder(framing()).reply_limit(1000).build();
    let (mut slow, _attached) = client(&mux, 16);
    let (mut other, _attached) = client(&mux, 64);
    let mut worker = mux.worker();
    send(&mut slow, b"1").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    let long = frame(&[9; 600]);
    let mut accepted = 0;
    let full = loop {
        match replier.try_send(&long) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, ReplyError::Full));
    // The limit, and the reply that went over it.
    assert_eq!(accepted, 2);
    replier.finish();
    // It gets nothing more handed out, and others are served.
    send(&mut slow, b"2").await;
    send(&mut other, b"x").await;
    let message = recv(&mut worker).await;
    assert_eq!(body(&message), b"x");
    message.reply(&frame(b"y")).await.unwrap();
    assert_eq!(reply(&mut other).await, b"y");
    assert!(worker.try_recv().is_none());
    // Until it reads; then its next message is handed out.
    tokio::spawn(echo(worker));
    for _ in 0..2 {
        assert_eq!(reply(&mut slow).await, [9; 600]);
    }
    assert_eq!(reply(&mut slow).await, b"2");
}

#[tokio::test]
async fn a_peer_that_reads_is_not_taken_for_one_that_does_not() {
    let mux = Mux::builder(framing()).reply_limit(1000).build();
    let (mut peer, _attached) = client(&mux, 64 * 1024);
    let mut worker = mux.worker();
    send(&mut peer, b"?").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    // The pipe has room for all of them, and far more than a task of tokio may do in one poll.
    for number in 0..400 {
        let sent = replier.try_send(&frame(&[1; 90]));
        assert!(sent.is_ok(), "reply {number}: {sent:?}");
    }
    replier.finish();
    for _ in 0..400 {
        assert_eq!(reply(&mut peer).await, [1; 90]);
    }
}

#[tokio::test]
async fn a_reply_waits_for_room_and_needs_no_other_worker_for_it() {
    let mux = Mux::builder(framing()).reply_limit(100).build();
    let (mut peer, _attached) = client(&mux, 16);
    let mut worker = mux.worker();
    send(&mut peer, b"?").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    let sending = tokio::spawn(async move {
        for number in 0..20 {
            replier.send(&frame(&[number; 90])).await.unwrap();
        }
        replier.finish();
        // An idle worker sends what is left.
        echo(worker).await;
    });
    settle().await;
    assert!(!sending.is_finished());
    for number in 0..20 {
        assert_eq!(reply(&mut peer).await, [number; 90]);
    }
}

#[tokio::test]
async fn a_cancelled_reply_was_not_sent() {
    let mux = Mux::builder(framing()).reply_limit(100).build();
    let (mut peer, _attached) = client(&mux, 16);
    let mut worker = mux.worker();
    send(&mut peer, b"?").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    let (first, cancelled, last) = (frame(&[1; 150]), frame(&[2; 150]), frame(&[3; 10]));
    replier.send(&first).await.unwrap();
    let soon = Duration::from_millis(5);
    let waited = tokio::time::timeout(soon, replier.send(&cancelled)).await;
    assert!(waited.is_err());
    let read = tokio::spawn(async move { (reply(&mut peer).await, reply(&mut peer).await) });
    replier.send(&last).await.unwrap();
    // Somebody has to send what waits; a worker does, or who replies.
    tokio::spawn(async move { worker.recv().await.is_some() });
    let (one, two) = within(read).await.unwrap();
    assert_eq!((one, two), (vec![1; 150], vec![3; 10]));
    replier.finish();
}

#[tokio::test]
async fn a_reply_after_the_end_of_the_connection_fails() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, _attached) = client(&mux, 64);
    send(&mut peer, b"?").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    drop(peer);
    let error = loop {
        match replier.try_send(&frame(&[0; 100])) {
            Ok(()) => settle().await,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, ReplyError::Closed(Closed::Io(_))),
        "{error}"
    );
    let again = replier.send(&frame(b"")).await;
    assert!(matches!(again, Err(ReplyError::Closed(_))));
    replier.finish();
}

#[tokio::test]
async fn replies_are_checked_to_be_whole_messages() {
    let mux = Mux::builder(framing()).check_replies(framing()).build();
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    send(&mut peer, b"?").await;
    let (_, mut replier) = recv(&mut worker).await.into_parts();
    let two = [frame(b"one"), frame(b"two")].concat();
    replier.send(&two).await.unwrap();
    replier.send(b"").await.unwrap();
    assert_eq!(mux.statistics().tx_messages, 1, "no bytes are no reply");
    assert_eq!(reply(&mut peer).await, b"one");
    assert_eq!(reply(&mut peer).await, b"two");
    let cut = &frame(b"three")[..4];
    let error = replier.send(cut).await.unwrap_err();
    let expected = ParseError::Truncated { seen: 4 };
    assert!(matches!(error, ReplyError::Closed(Closed::BadReply(why)) if why == expected));
    assert!(matches!(
        within(attached.closed()).await,
        Closed::BadReply(_)
    ));
    // Nothing of it was sent.
    let mut rest = Vec::new();
    within(peer.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    assert_eq!(mux.statistics().bad_replies, 1);
}
