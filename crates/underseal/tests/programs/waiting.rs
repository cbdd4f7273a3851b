//! Sockets that take only a part, and readers that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::message::{Filter, Message, MessageDirection, Notify, Peer, Verdict};
use underseal::record::ContentType;

use crate::pairs::{pair, pattern, soon};

/// A reader that sleeps is woken for what is redirected to it, and sends what is redirected for
/// its peer.
#[tokio::test(start_paused = true)]
async fn a_sleeping_reader_tends_to_what_is_redirected() {
    let (mut from, _from_peer) = pair(10_000).await;
    let (mut to, mut to_peer) = pair(10_000).await;
    let peer = to.redirect_peer(1000);
    let program = move |message: &mut Message<'_>| Verdict::Redirect {
        to: peer.clone(),
        direction: match message.pull(0..1) {
            Ok(b">") => MessageDirection::Egress,
            _ => MessageDirection::Ingress,
        },
    };
    from.attach(Filter::egress(program)).unwrap();
    let reader = tokio::spawn(async move {
        let mut got = [0; 4];
        to.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"read");
        to
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    from.write_all(b">sent").await.unwrap();
    let mut got = [0; 5];
    soon(to_peer.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b">sent");
    from.write_all(b"read").await.unwrap();
    soon(reader).await.unwrap();
}

/// A writer who does not flush owes nobody what others redirected: a reader sends the rest.
#[tokio::test(start_paused = true)]
async fn a_reader_sends_what_a_write_left_of_a_redirect() {
    let (mut to, mut to_peer) = pair(1000).await;
    let nobody: Arc<dyn Notify> = Arc::new(|| {});
    let data = pattern(3000);
    let peer = to.redirect_peer(data.len());
    let sent = peer.send(MessageDirection::Egress, (&data[..]).into(), &nobody);
    assert_eq!(sent, Ok(data.len()));
    assert_eq!(to.write(b"own").await.unwrap(), 3);
    assert!(to.pending_bytes() > 1000);
    tokio::spawn(async move { to.read_u8().await });
    let mut got = vec![0; data.len()];
    soon(to_peer.read_exact(&mut got)).await.unwrap();
    assert!(got == data);
}

/// What the program changed goes on although the socket took it piece by piece.
#[tokio::test(start_paused = true)]
async fn edits_survive_a_socket_that_takes_little() {
    let (mut server, mut client) = pair(1000).await;
    let edit = |message: &mut Message<'_>| {
        message.push(0, b"[").unwrap();
        message.push(message.len(), b"]").unwrap();
        message.apply_bytes(5000);
        Verdict::<Peer>::Pass
    };
    server.attach(Filter::egress(edit)).unwrap();
    let data = pattern(20_000);
    let expected = data
        .chunks(5000)
        .map(|chunk| [b"[", chunk].concat())
        .collect::<Vec<_>>();
    let send = async {
        for chunk in data.chunks(7000) {
            server.write_all(chunk).await.unwrap();
        }
        server.flush().await.unwrap();
        server.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), read) = soon(async { tokio::join!(send, client.read_to_end(&mut got)) }).await;
    read.unwrap();
    // Brackets fall where the program was run; the bytes between them are the writer's.
    let opened = got.iter().filter(|byte| **byte == b'[').count();
    assert!(opened >= expected.len());
    let without_brackets = |bytes: &[u8]| -> Vec<u8> {
        let plain = bytes.iter().filter(|byte| !b"[]".contains(byte));
        plain.copied().collect()
    };
    assert!(without_brackets(&got) == without_brackets(&data));
}

/// A write that was refused and one that waited leave the stream as it was.
#[tokio::test(start_paused = true)]
async fn a_write_that_waits_is_judged_again_and_sent_once() {
    let (mut server, mut client) = pair(1000).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let count = move |_: &mut Message<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Verdict::<Peer>::Pass
    };
    server.attach(Filter::egress(count)).unwrap();
    let data = pattern(500_000);
    let send = async {
        server.write_all(&data).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), read) = soon(async { tokio::join!(send, client.read_to_end(&mut got)) }).await;
    read.unwrap();
    assert!(got == data);
    assert!(runs.load(Ordering::Relaxed) > 1);
}

/// Neither type of record loses its place behind the other.
#[tokio::test(start_paused = true)]
async fn held_data_does_not_hold_up_control_records() {
    let (mut server, mut client) = pair(10_000).await;
    let cork = |message: &mut Message<'_>| match message.cork_bytes(10) {
        Ok(()) | Err(_) => Verdict::<Peer>::Pass,
    };
    server.attach(Filter::ingress(cork)).unwrap();
    client.write_all(b"12345").await.unwrap();
    client
        .send_record(ContentType(77), &b"ctl"[..])
        .await
        .unwrap();
    client.write_all(b"67890").await.unwrap();
    let mut out = [0; 20];
    let (kind, n) = soon(server.read_record(&mut out)).await.unwrap().unwrap();
    assert_eq!((kind, &out[..n]), (ContentType(77), &b"ctl"[..]));
    let (kind, n) = soon(server.read_record(&mut out)).await.unwrap().unwrap();
    assert_eq!(
        (kind, &out[..n]),
        (ContentType::APPLICATION_DATA, &b"1234567890"[..])
    );
}

/// What was gathered of one write goes out in order, whatever the socket takes of it.
#[tokio::test(start_paused = true)]
async fn small_messages_survive_a_socket_that_takes_little() {
    let (mut server, mut client) = pair(1000).await;
    let one_byte = |message: &mut Message<'_>| {
        message.apply_bytes(1);
        Verdict::<Peer>::Pass
    };
    server.attach(Filter::egress(one_byte)).unwrap();
    let data = pattern(20_000);
    let send = async {
        server.write_all(&data).await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(server.pending_bytes(), 0);
    };
    let mut got = vec![0; data.len()];
    let ((), read) = soon(async { tokio::join!(send, client.read_exact(&mut got)) }).await;
    read.unwrap();
    assert!(got == data);
}
