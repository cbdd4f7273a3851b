//! How connections end, and that no other one does.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use underseal::Mux;
use underseal::mux::{Closed, ConnectionId, Framing, Statistics};
use underseal_message::{LengthPrefixed, MessageParser, ParseError, Parsed};

use crate::bed::{MAX, body, client, echo, frame, framing, recv, reply, send, within};

#[tokio::test]
async fn the_peer_may_end_its_side_and_still_gets_its_replies() {
    let mux = Mux::new(framing());
    let (mut peer, attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    send(&mut peer, b"2").await;
    peer.shutdown().await.unwrap();
    tokio::spawn(echo(mux.worker()));
    let mut replies = Vec::new();
    within(peer.read_to_end(&mut replies)).await.unwrap();
    assert_eq!(replies, [frame(b"1"), frame(b"2")].concat());
    assert!(matches!(within(attached.closed()).await, Closed::ByPeer));
    let expected = Statistics::default();
    let statistics = mux.statistics();
    assert_eq!(statistics.closed, 1);
    assert_eq!(statistics.failed, expected.failed);
}

/// Sends `bytes` after a good message, and returns why the connection ended and what was counted.
/// The good message is answered before.
async fn ending(framing: Framing, bytes: &[u8]) -> (ParseError, Statistics) {
    let seen: Arc<Mutex<Vec<(ConnectionId, String)>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let mux = Mux::builder(framing)
        .on_close(move |id, why| noted.lock().unwrap().push((id, why.to_string())))
        .build();
    let (mut bystander, _attached) = client(&mux, 64);
    tokio::spawn(echo(mux.worker()));
    let (mut peer, attached) = client(&mux, 64);
    let good = frame(b"a good message");
    let sent = async {
        // The mux may end the connection before all is written.
        let _ = peer.write_all(&good).await;
        let _ = peer.write_all(bytes).await;
        let _ = peer.shutdown().await;
        let mut replies = Vec::new();
        peer.read_to_end(&mut replies).await.unwrap();
        replies
    };
    assert_eq!(within(sent).await, good);
    let closed = within(attached.closed()).await;
    let Closed::Framing(error) = closed else {
        panic!("ended for another reason: {closed}");
    };
    assert_eq!(
        *seen.lock().unwrap(),
        [(attached.id(), Closed::Framing(error).to_string())]
    );
    send(&mut bystander, b"still here").await;
    assert_eq!(reply(&mut bystander).await, b"still here");
    (error, mux.statistics())
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_connection() {
    let short = Framing::new(20, || LengthPrefixed::new(underseal_message::Width::U16));
    let (error, statistics) = ending(short, &[1, 0, 0, 0]).await;
    assert_eq!(error, ParseError::TooLong { len: 258, max: 20 });
    assert_eq!((statistics.too_long, statistics.closed), (1, 1));
}

#[tokio::test]
async fn a_bad_length_ends_its_connection() {
    // The field counts itself.
    let framing = Framing::new(MAX, || {
        PickyAboutZero(LengthPrefixed::new(underseal_message::Width::U16))
    });
    let (error, statistics) = ending(framing, &[0, 0]).await;
    assert!(matches!(error, ParseError::BadLength { length: 0, .. }));
    assert_eq!((statistics.bad_length, statistics.closed), (1, 1));
}

/// Refuses messages without a body.
struct PickyAboutZero(LengthPrefixed);

impl MessageParser for PickyAboutZero {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        match self.0.parse(bytes)? {
            Parsed::Message(2) => Err(ParseError::BadLength {
                length: 0,
                why: "a body is needed",
            }),
            parsed => Ok(parsed),
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_inside_of_a_message_is_truncated() {
    for cut in [&[0][..], &[0, 9], &[0, 9, 1, 2, 3]] {
        let (error, statistics) = ending(framing(), cut).await;
        let seen = cut.len() as u64;
        assert_eq!(error, ParseError::Truncated { seen });
        assert_eq!((statistics.truncated, statistics.closed), (1, 1));
    }
}

#[tokio::test]
async fn a_dropped_message_ends_its_connection_only() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    let (mut other, _attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    drop(recv(&mut worker).await);
    assert!(matches!(within(attached.closed()).await, Closed::Abandoned));
    assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
    assert_eq!(mux.statistics().dropped, 1);
    send(&mut other, b"2").await;
    assert_eq!(body(&recv(&mut worker).await), b"2");
}

#[tokio::test]
async fn a_worker_that_panics_ends_its_connection_only() {
    let mux = Mux::new(framing());
    let (mut peer, attached) = client(&mux, 64);
    let (mut other, _attached) = client(&mux, 64);
    let mut worker = mux.worker();
    let panics = tokio::spawn(async move {
        let _message = recv(&mut worker).await;
        panic!("a bug of the service");
    });
    send(&mut peer, b"1").await;
    assert!(within(panics).await.unwrap_err().is_panic());
    assert!(matches!(within(attached.closed()).await, Closed::Abandoned));
    tokio::spawn(echo(mux.worker()));
    send(&mut other, b"2").await;
    assert_eq!(reply(&mut other).await, b"2");
}

#[tokio::test]
async fn a_parser_that_panics_ends_its_connection_only() {
    struct Panics;
    impl MessageParser for Panics {
        fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
            assert_ne!(bytes[0], b'!', "a bug of the parser");
            Ok(Parsed::Message(1))
        }
    }
    let on_close = |_, _: &Closed| panic!("a bug of the callback, too");
    let mux = Mux::builder(Framing::new(1, || Panics))
        .on_close(on_close)
        .build();
    tokio::spawn(echo(mux.worker()));
    let (mut peer, attached) = client(&mux, 64);
    let (mut other, _attached) = client(&mux, 64);
    peer.write_all(b"!").await.unwrap();
    assert!(matches!(within(attached.closed()).await, Closed::Panicked));
    other.write_all(b".").await.unwrap();
    assert_eq!(within(other.read_u8()).await.unwrap(), b'.');
    assert_eq!(mux.statistics().panicked, 1);
}

/// Gives a message, and fails then.
struct Fails(Option<Vec<u8>>);

impl AsyncRead for Fails {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.take() {
            Some(bytes) => buf.put_slice(&bytes),
            None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Fails {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn messages_before_a_failure_of_the_stream_are_delivered() {
    for ordering in [
        underseal::mux::Ordering::PerConnection,
        underseal::mux::Ordering::None,
    ] {
        let mux = Mux::builder(framing()).ordering(ordering).build();
        let two = [frame(b"1"), frame(b"2")].concat();
        let attached = mux.attach(Fails(Some(two))).expect("attach");
        let mut worker = mux.worker();
        for expected in [b"1", b"2"] {
            let message = recv(&mut worker).await;
            assert_eq!(body(&message), expected);
            message.into_parts().1.finish();
        }
        assert!(worker.try_recv().is_none());
        let Closed::Io(error) = within(attached.closed()).await else {
            panic!("ended for another reason");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(mux.statistics().failed, 1);
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_a_failure_and_no_loop() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let attached = mux.attach(Fails(Some(frame(b"1")))).expect("attach");
    let refused = recv(&mut worker).await.reply(b"x").await;
    assert!(refused.is_err());
    let Closed::Io(error) = within(attached.closed()).await else {
        panic!("ended for another reason");
    };
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[tokio::test]
async fn the_owner_closes_when_what_was_read_is_answered() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 64);
    send(&mut peer, b"1").await;
    let message = recv(&mut worker).await;
    attached.close();
    message.reply(&frame(b"a")).await.unwrap();
    assert!(matches!(within(attached.closed()).await, Closed::ByOwner));
    assert_eq!(reply(&mut peer).await, b"a");
    assert_eq!(within(peer.read(&mut [0])).await.unwrap(), 0);
}
