//! Bytes there and back.

use quinn::Connection;

use crate::endpoints::{Connected, SUITES, Side, connect};

/// More than the first flow control window, so that both sides send.
pub(crate) const BYTES: usize = 4 << 20;

pub(crate) fn payload() -> Vec<u8> {
    (0..BYTES).map(|at| (at % 251) as u8).collect()
}

/// Sends `payload` from the client, and back as it came.
pub(crate) async fn echo(connected: &Connected, payload: &[u8]) {
    echo_over(&connected.client, &connected.server, payload).await;
}

pub(crate) async fn echo_over(client: &Connection, server: &Connection, payload: &[u8]) {
    let server = server.clone();
    let echoing = tokio::spawn(async move {
        let (mut send, mut receive) = server.accept_bi().await.unwrap();
        let mut buffer = vec![0; 64 * 1024];
        while let Some(count) = receive.read(&mut buffer).await.unwrap() {
            send.write_all(&buffer[..count]).await.unwrap();
        }
        send.finish().unwrap();
    });
    let (mut send, mut receive) = client.open_bi().await.unwrap();
    let sending = async {
        send.write_all(payload).await.unwrap();
        send.finish().unwrap();
    };
    let (_, received) = tokio::join!(sending, receive.read_to_end(payload.len()));
    assert!(received.unwrap() == payload, "other bytes came back");
    echoing.await.unwrap();
}

#[tokio::test]
async fn what_is_sent_comes_back_whoever_protects_the_packets() {
    let payload = payload();
    for &(client, server) in Side::PAIRS {
        for suite in 0..SUITES {
            let connected = connect(client, server, suite).await;
            echo(&connected, &payload).await;
        }
    }
}

#[tokio::test]
async fn datagrams_arrive_whoever_protects_the_packets() {
    for &(client, server) in Side::PAIRS {
        let connected = connect(client, server, 0).await;
        for len in [0, 1, 2, 3, 1000] {
            let datagram = vec![0x5a; len];
            connected
                .client
                .send_datagram(datagram.clone().into())
                .unwrap();
            assert_eq!(connected.server.read_datagram().await.unwrap(), datagram);
            connected
                .server
                .send_datagram(datagram.clone().into())
                .unwrap();
            assert_eq!(connected.client.read_datagram().await.unwrap(), datagram);
        }
    }
}
