//! Datagrams that come faster than anybody reads them.

use std::cell::Cell;

use underseal_dtls::{DtlsListener, Event, ListenerConfig};
use underseal_testkit::PATIENCE;

use crate::{SUITES, certificates, client, server_context, socket_to};

#[tokio::test]
async fn a_flood_of_authentic_datagrams_leaves_other_tasks_running() {
    const SENT: usize = 200;
    let certificates = certificates();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let context = server_context(&certificates);
    let mut listener = DtlsListener::new(socket, context, ListenerConfig::default()).unwrap();
    let connected = tokio::task::spawn_blocking(move || {
        let ssl = client(&certificates, SUITES[0]);
        underseal_dtls::blocking::DtlsSocket::connect(ssl, socket_to(address), PATIENCE).unwrap()
    });
    let mut buffer = [0; 100];
    let event = listener.recv(&mut buffer).await.unwrap();
    assert!(matches!(event, Event::Established(_)));
    let client = connected.await.unwrap();
    for _ in 0..SENT {
        client.send(b"fast").unwrap();
    }
    listener.socket().readable().await.unwrap();
    let received = Cell::new(0);
    let receive = async {
        for _ in 0..SENT {
            listener.recv(&mut buffer).await.unwrap();
            received.set(received.get() + 1);
        }
    };
    let ((), seen) = tokio::join!(receive, async { received.get() });
    assert!(seen < SENT);
}
