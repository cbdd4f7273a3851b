//! What is kept in order.

use underseal::Mux;
use underseal::mux::Ordering;

use crate::bed::{body, client, frame, framing, recv, reply, send, settle};

#[tokio::test]
async fn the_next_message_waits_for_the_one_before_it() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 64);
    let (mut one, mut two) = (mux.worker(), mux.worker());
    send(&mut peer, b"1").await;
    send(&mut peer, b"2").await;
    let (_, mut first) = recv(&mut one).await.into_parts();
    settle().await;
    assert!(two.try_recv().is_none());
    // Replies do not finish a message.
    first.try_send(&frame(b"a")).unwrap();
    first.try_send(&frame(b"b")).unwrap();
    assert!(two.try_recv().is_none());
    first.finish();
    let second = recv(&mut two).await;
    second.reply(&frame(b"c")).await.unwrap();
    for expected in [b"a", b"b", b"c"] {
        assert_eq!(reply(&mut peer).await, expected);
    }
}

#[tokio::test]
async fn without_order_messages_are_in_hand_up_to_a_limit() {
    let mux = Mux::builder(framing())
        .ordering(Ordering::None)
        .in_flight(3)
        .build();
    let (mut peer, _attached) = client(&mux, 64);
    for number in 0..4 {
        send(&mut peer, &[number]).await;
    }
    let mut worker = mux.worker();
    let mut in_hand = Vec::new();
    for number in 0..3 {
        let message = recv(&mut worker).await;
        assert_eq!(body(&message), [number]);
        in_hand.push(message);
    }
    settle().await;
    assert!(worker.try_recv().is_none());
    // The last one is answered first.
    let last = in_hand.pop().unwrap();
    last.reply(&frame(b"last")).await.unwrap();
    assert_eq!(reply(&mut peer).await, b"last");
    assert_eq!(body(&recv(&mut worker).await), [3]);
}
