//! Whole messages, each to one worker.

use tokio::io::AsyncWriteExt;
use underseal::Mux;
use underseal::mux::{Closed, Framing};
use underseal_message::{Delimiter, MessageParser, ParseError, Parsed};

use crate::bed::{body, client, echo, frame, framing, recv, reply, send, within};

#[tokio::test]
async fn each_message_comes_whole_and_once_however_it_was_written() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, _attached) = client(&mux, 4096);
    // What Linux' KCM framed wrongly: two in one segment.
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
async fn a_message_without_a_body_is_a_message() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (mut peer, _attached) = client(&mux, 64);
    send(&mut peer, b"").await;
    assert_eq!(reply(&mut peer).await, b"");
}

#[tokio::test]
async fn a_message_longer_than_one_read_and_the_pipe_comes_whole() {
    let mux = Mux::new(framing());
    tokio::spawn(echo(mux.worker()));
    let (mut peer, _attached) = client(&mux, 1000);
    let long = vec![7; 65_000];
    let request = frame(&long);
    let (mut read, mut write) = tokio::io::split(&mut peer);
    let sent = async { write.write_all(&request).await.unwrap() };
    let received = async {
        let mut reply = vec![0; request.len()];
        let all = tokio::io::AsyncReadExt::read_exact(&mut read, &mut reply);
        all.await.unwrap();
        reply
    };
    let ((), received) = within(async { tokio::join!(sent, received) }).await;
    assert_eq!(received, request);
}

#[tokio::test]
async fn lines_are_messages_too() {
    let mux = Mux::new(Framing::new(100, || Delimiter::new(b"\n")));
    let mut worker = mux.worker();
    let (mut peer, _attached) = client(&mux, 64);
    peer.write_all(b"hello\nwor").await.unwrap();
    let message = recv(&mut worker).await;
    assert_eq!(message.bytes(), b"hello\n");
    message.into_parts().1.finish();
    assert!(worker.try_recv().is_none());
    peer.write_all(b"ld\n").await.unwrap();
    assert_eq!(recv(&mut worker).await.bytes(), b"world\n");
}

/// Everything until the end of the stream is one message.
struct UntilTheEnd;

impl MessageParser for UntilTheEnd {
    fn parse(&mut self, _: &[u8]) -> Result<Parsed, ParseError> {
        Ok(Parsed::Rest)
    }
}

#[tokio::test]
async fn a_message_may_end_with_the_stream_within_its_bound() {
    let mux = Mux::new(Framing::new(100, || UntilTheEnd));
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 400);
    peer.write_all(b"all of ").await.unwrap();
    assert!(worker.try_recv().is_none());
    peer.write_all(b"it").await.unwrap();
    peer.shutdown().await.unwrap();
    let message = recv(&mut worker).await;
    assert_eq!(message.bytes(), b"all of it");
    message.into_parts().1.finish();
    assert!(worker.try_recv().is_none());
    assert!(matches!(within(attached.closed()).await, Closed::ByPeer));

    let (mut peer, attached) = client(&mux, 400);
    peer.write_all(&[0; 101]).await.unwrap();
    assert!(worker.try_recv().is_none());
    let too_long = ParseError::TooLong { len: 101, max: 100 };
    assert!(matches!(within(attached.closed()).await, Closed::Framing(why) if why == too_long));
}

#[tokio::test]
async fn connections_take_turns_however_much_one_sends() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut greedy, _attached) = client(&mux, 64 * 1024);
    let flood: Vec<u8> = (0..1000).flat_map(|_| frame(b"flood")).collect();
    greedy.write_all(&flood).await.unwrap();
    recv(&mut worker).await.into_parts().1.finish();
    let (mut modest, _attached) = client(&mux, 64);
    send(&mut modest, b"me").await;
    // One of the flood may come before it, and no more.
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let message = recv(&mut worker).await;
        bodies.push(body(&message).to_vec());
        message.into_parts().1.finish();
    }
    assert!(bodies.contains(&b"me".to_vec()), "{bodies:?}");
}
