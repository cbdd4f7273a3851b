//! A mux with clients in memory, and the messages that they send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use underseal::Mux;
use underseal::mux::{Attached, Framing, Message, Worker};
use underseal_message::{LengthPrefixed, Width};
use underseal_testkit::PATIENCE;

/// Bytes that a message may have.
pub(crate) const MAX: usize = 64 * 1024;

/// Two bytes of length, then the body.
pub(crate) fn framing() -> Framing {
    Framing::new(MAX, || LengthPrefixed::new(Width::U16))
}

pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap();
    [&len.to_be_bytes()[..], body].concat()
}

pub(crate) fn body(message: &Message) -> &[u8] {
    &message.bytes()[2..]
}

/// A connection of `mux`, whose pipe holds `capacity` bytes each way.
pub(crate) fn client(mux: &Mux, capacity: usize) -> (DuplexStream, Attached<DuplexStream>) {
    let (near, far) = duplex(capacity);
    let attached = mux.attach(far).expect("attach");
    (near, attached)
}

pub(crate) async fn send(client: &mut DuplexStream, body: &[u8]) {
    within(client.write_all(&frame(body))).await.unwrap();
}

/// The body of the next reply.
pub(crate) async fn reply(client: &mut DuplexStream) -> Vec<u8> {
    within(async {
        let len = client.read_u16().await.unwrap();
        let mut body = vec![0; usize::from(len)];
        client.read_exact(&mut body).await.unwrap();
        body
    })
    .await
}

pub(crate) async fn recv(worker: &mut Worker) -> Message {
    within(worker.recv()).await.expect("a message")
}

/// Answers every message with its own bytes until there are none.
pub(crate) async fn echo(mut worker: Worker) {
    while let Some(message) = worker.recv().await {
        let bytes = message.bytes().to_vec();
        // A connection that ended meanwhile is its test's business.
        let _ = message.reply(&bytes).await;
    }
}

/// Lets everything run that can.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let patience = PATIENCE.max(Duration::from_secs(1));
    tokio::time::timeout(patience, future)
        .await
        .expect("somebody waits for ever")
}
