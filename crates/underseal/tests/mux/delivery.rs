//! Whole messages, each to one worker.

use tokio::io::AsyncWriteExt;
use underseal::Mux;

use crate::bed::{body, client, echo, frame, framing, recv, reply, send, settle};

#[tokio::test]
async fn each_message_comes_whole_and_once_however_it_was_written() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, _attached) = client(&mux, 4096);
    // What Linux' KCM framed wrongly: two in one segment, one in pieces.
    let two = [frame(b"one"), frame(b"two")].concat();
    peer.write_all(&two).await.unwrap();
    for expected in [b"one", b"two"] {
        let message = recv(&mut worker).await;
        assert_eq!(body(&message), expected);
        message.into_parts().1.finish();
    }
    for byte in frame(b"three") {
        assert!(worker.try_recv().is_none());
        peer.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(body(&recv(&mut worker).await), b"three");
}

#[tokio::test]
async fn replies_go_to_the_connection_that_asked() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let mut peers: Vec<_> = (0..20).map(|_| client(&mux, 4096)).collect();
    for (number, (peer, _)) in peers.iter_mut().enumerate() {
        send(peer, &[number as u8; 100]).await;
    }
    for (number, (peer, _)) in peers.iter_mut().enumerate() {
        assert_eq!(reply(peer).await, [number as u8; 100]);
    }
}

#[tokio::test]
async fn one_idle_worker_is_woken_for_a_message() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 4096);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut worker = mux.worker();
            tokio::spawn(async move { recv(&mut worker).await })
        })
        .collect();
    settle().await;
    send(&mut peer, b"x").await;
    settle().await;
    assert_eq!(mux.statistics().woken, 1);
    assert_eq!(
        workers.iter().filter(|worker| worker.is_finished()).count(),
        1
    );
    workers.into_iter().for_each(|worker| worker.abort());
}
