//! Redirects between streams of one runtime.

use std::sync::{Arc, RwLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use underseal::message::{Filter, Message, MessageDirection, Peer, SockHash, Update, Verdict};

use crate::pairs::{Server, pair, pattern, soon};

fn redirect(
    to: Peer,
    direction: MessageDirection,
) -> impl FnMut(&mut Message<'_>) -> Verdict<Peer> + Send + 'static {
    move |_| Verdict::Redirect {
        to: to.clone(),
        direction,
    }
}

/// As a proxy between two connections: nobody reads or writes but the two that are in the middle,
/// and each only reads.
#[tokio::test(start_paused = true)]
async fn two_streams_that_redirect_to_each_other_are_a_proxy() {
    const LIMIT: usize = 64 * 1024;
    let (mut left, mut client) = pair(10_000).await;
    let (mut right, mut backend) = pair(10_000).await;
    let to_left = redirect(left.redirect_peer(LIMIT), MessageDirection::Egress);
    let to_right = redirect(right.redirect_peer(LIMIT), MessageDirection::Egress);
    left.attach(Filter::ingress(to_right)).unwrap();
    right.attach(Filter::ingress(to_left)).unwrap();
    let relay = |mut stream: Server| async move {
        // All is redirected: a read ends with the stream.
        assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
        stream
    };
    let left = tokio::spawn(relay(left));
    let right = tokio::spawn(relay(right));

    let data = pattern(1_000_000);
    let echo = async {
        let (mut reader, mut writer) = split(&mut backend);
        let copied = tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.flush().await.unwrap();
        copied
    };
    let talk = async {
        let (mut reader, mut writer) = split(&mut client);
        let send = async {
            writer.write_all(&data).await.unwrap();
            writer.flush().await.unwrap();
        };
        let mut got = vec![0; data.len()];
        let (_, read) = tokio::join!(send, reader.read_exact(&mut got));
        read.unwrap();
        got
    };
    let got = soon(async {
        tokio::select! {
            got = talk => got,
            copied = echo => panic!("the backend's stream ended after {copied} bytes"),
        }
    })
    .await;
    assert!(got == data);
    client.shutdown().await.unwrap();
    backend.shutdown().await.unwrap();
    soon(async { (left.await.unwrap(), right.await.unwrap()) }).await;
}

/// The kernel took 2.36 GB for a reader that did not read.
#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_reader_that_does_not_read() {
    const LIMIT: usize = 100_000;
    let (mut from, _from_peer) = pair(10_000).await;
    let (mut to, _to_peer) = pair(10_000).await;
    let peer = to.redirect_peer(LIMIT);
    let program = redirect(peer.clone(), MessageDirection::Ingress);
    from.attach(Filter::egress(program)).unwrap();
    let data = pattern(1_000_000);
    let own = data.clone();
    let writer = tokio::spawn(async move {
        from.write_all(&own).await.unwrap();
        from
    });
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(!writer.is_finished());
    let waiting = peer.waiting(MessageDirection::Ingress);
    assert!((1..=LIMIT).contains(&waiting), "{waiting}");

    let mut got = vec![0; data.len()];
    soon(to.read_exact(&mut got)).await.unwrap();
    assert!(got == data);
    soon(writer).await.unwrap();
}

/// What it has opened stays where it is, and so does what the sender sends behind it.
#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_a_target_that_has_no_room() {
    let (mut from, mut from_peer) = pair(10_000).await;
    let (mut to, mut to_peer) = pair(10_000).await;
    let peer = to.redirect_peer(20_000);
    from.attach(Filter::ingress(redirect(peer, MessageDirection::Egress)))
        .unwrap();
    let data = pattern(300_000);
    let own = data.clone();
    let sender = tokio::spawn(async move {
        from_peer.write_all(&own).await.unwrap();
        from_peer.shutdown().await.unwrap();
        from_peer
    });
    let reader = tokio::spawn(async move {
        assert_eq!(from.read(&mut [0; 10]).await.unwrap(), 0);
        from
    });
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(!reader.is_finished() && !sender.is_finished());
    // Its owner has to do something to send what was redirected to it.
    let mut got = vec![0; data.len()];
    let ((), read) = soon(async {
        tokio::join!(
            async {
                while !reader.is_finished() {
                    to.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
                to.flush().await.unwrap();
            },
            to_peer.read_exact(&mut got)
        )
    })
    .await;
    read.unwrap();
    assert!(got == data);
    sender.await.unwrap();
}

/// The target is gone: what would go to it is refused, and nothing else is.
#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_closed_stream_is_refused() {
    let (mut from, mut from_peer) = pair(10_000).await;
    let (mut to, _to_peer) = pair(10_000).await;
    let peer = to.redirect_peer(1000);
    let program = move |message: &mut Message<'_>| match message.pull(0..1) {
        Ok(b">") => Verdict::Redirect {
            to: peer.clone(),
            direction: MessageDirection::Egress,
        },
        _ => Verdict::Pass,
    };
    from.attach(Filter::egress(program)).unwrap();
    from.write_all(b">one").await.unwrap();
    drop(to);
    let error = from.write(b">two").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    from.write_all(b"three").await.unwrap();
    from.flush().await.unwrap();
    let mut got = [0; 5];
    from_peer.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"three");
}

/// As if the target had said so before it ended: what is accepted must be able to arrive.
#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_direction_that_had_ended_is_refused() {
    for direction in [MessageDirection::Egress, MessageDirection::Ingress] {
        let (mut from, _from_peer) = pair(10_000).await;
        let (mut to, mut to_peer) = pair(10_000).await;
        match direction {
            MessageDirection::Egress => to.shutdown().await.unwrap(),
            MessageDirection::Ingress => {
                to_peer.shutdown().await.unwrap();
                assert_eq!(soon(to.read(&mut [0; 1])).await.unwrap(), 0);
            }
        }
        let program = redirect(to.redirect_peer(1000), direction);
        from.attach(Filter::egress(program)).unwrap();
        let error = from.write(b"too late").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}

/// Streams by name, as programs in the kernel find them by a key of their map.
#[tokio::test(start_paused = true)]
async fn programs_find_streams_in_a_map() {
    let map = Arc::new(RwLock::new(SockHash::new(10)));
    let (mut from, _peer) = pair(10_000).await;
    let own = Arc::clone(&map);
    let by_name = move |message: &mut Message<'_>| {
        let name = message.pull(0..1).unwrap()[0];
        match own.read().unwrap().get(&name) {
            Some(to) => Verdict::Redirect {
                to: Peer::clone(to),
                direction: MessageDirection::Ingress,
            },
            None => Verdict::Drop,
        }
    };
    from.attach(Filter::egress(by_name)).unwrap();
    let mut targets = Vec::new();
    for name in *b"ab" {
        let (mut to, peer) = pair(10_000).await;
        let mut map = map.write().unwrap();
        map.update(name, to.redirect_peer(100), Update::NoExist)
            .unwrap();
        targets.push((to, peer));
    }
    from.write_all(b"b is told").await.unwrap();
    from.write_all(b"a too").await.unwrap();
    let error = from.write(b"c is not there").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    for ((to, _), expected) in targets.iter_mut().zip(["a too", "b is told"]) {
        let mut got = vec![0; expected.len()];
        soon(to.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, expected.as_bytes());
    }
}
