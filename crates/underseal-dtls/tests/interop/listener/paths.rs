//! Which way datagrams come and go: the address of the host that was asked, trains, and peers that move.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Batch, ConnectionIds, DtlsListener, Error, Event, ListenerConfig, Parts};
use underseal_record::ContentType;
use underseal_record::dtls::{ReplayWindow, Sealer};
use underseal_testkit::PATIENCE;

use super::addresses::{ids, keys};
use super::{Echo, Told, exchange};
use crate::{certificates, server_context, socket_to};

/// A host with several addresses: each client hears only the one that it asked.
#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let certificates = Arc::new(certificates());
    let context = server_context(&certificates);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let server = Echo::with(certificates, socket, move |socket| {
        DtlsListener::new(socket, context, ListenerConfig::default()).unwrap()
    });
    for last in [77, 1] {
        let asked = (Ipv4Addr::new(127, 0, 0, last), server.address.port());
        // Its cookie, its handshake's flights and its data come from there.
        let client = server.connect_by(socket_to(asked.into()));
        server.established();
        exchange(&client, "hello");
        assert!(matches!(server.next(), Told::Datagram(..)));
        client.close();
        assert!(matches!(server.next(), Told::Ended(Error::ClosedByPeer)));
    }
}

/// An association that was added, or has moved, has been asked at an address that its datagrams tell.
#[tokio::test]
async fn an_association_that_was_added_is_answered_from_the_address_that_it_asks() {
    let certificates = certificates();
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let context = server_context(&certificates);
    let mut listener = DtlsListener::new(socket, context, ListenerConfig::default()).unwrap();
    let clients = [77, 78].map(|last| socket_to((Ipv4Addr::new(127, 0, 0, last), port).into()));
    let address = clients[0].local_addr().unwrap();
    let peer = listener.add(address, parts(0), ids()).unwrap();
    let mut sealer = Sealer::new(keys(1));
    sealer.set_connection_id(ids().receive);
    for client in clients {
        let mut datagram = vec![0; 1 + sealer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        sealer.seal(data, b"x", &mut datagram).unwrap();
        client.send(&datagram).unwrap();
        let event = listener.recv(&mut [0; 100]).await.unwrap();
        assert!(matches!(event, Event::Datagram { .. }), "{event:?}");
        peer.set_address(client.local_addr().unwrap());
        peer.send(b"answer").await.unwrap();
        // It hears nobody else.
        client.recv(&mut [0; 100]).unwrap();
    }
}

async fn listener_and_client() -> (DtlsListener, UdpSocket) {
    let certificates = certificates();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let context = server_context(&certificates);
    let listener = DtlsListener::new(socket, context, ListenerConfig::default()).unwrap();
    let client = socket_to(listener.socket().local_addr().unwrap());
    (listener, client)
}

pub(super) fn parts(side: u8) -> Parts {
    Parts::new(keys(side), keys(1 - side), ReplayWindow::default())
}

#[tokio::test]
async fn trains_come_and_go_whole() {
    const COUNT: usize = 40;
    let (mut listener, client) = listener_and_client().await;
    let address = client.local_addr().unwrap();
    let peer = listener
        .add(address, parts(0), ConnectionIds::default())
        .unwrap();
    let client = DtlsSocket::from_parts(client, parts(1)).unwrap();
    client.set_gro(true).unwrap();
    let payloads: Vec<_> = (0..COUNT).map(|number| [number as u8; 1000]).collect();
    assert_eq!(client.send_batch(&payloads).unwrap(), COUNT);
    let mut buffer = [0; 2000];
    for payload in &payloads {
        match listener.recv(&mut buffer).await.unwrap() {
            Event::Datagram { len, is_newest, .. } => {
                assert_eq!(&buffer[..len], payload);
                assert!(is_newest);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.send_batch(&payloads).await.unwrap(), COUNT);
    let (mut batch, mut received, mut calls) = (Batch::new(), Vec::new(), 0);
    while received.len() < COUNT {
        client.recv_batch(&mut batch).unwrap();
        received.extend(batch.iter().map(<[u8]>::to_vec));
        calls += 1;
    }
    assert_eq!(received, payloads);
    assert!(calls < COUNT, "they came together");
}

/// RFC 9146 section 6: the address of a datagram that was overtaken is no newer address of its peer.
#[tokio::test]
async fn a_datagram_that_was_overtaken_is_not_the_newest() {
    let (mut listener, client) = listener_and_client().await;
    let address = client.local_addr().unwrap();
    listener.add(address, parts(0), ids()).unwrap();
    let elsewhere = socket_to(listener.socket().local_addr().unwrap());
    let mut sealer = Sealer::new(keys(1));
    sealer.set_connection_id(ids().receive);
    let mut seal = |text: &str| {
        let mut datagram = vec![0; text.len() + sealer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        sealer.seal(data, text.as_bytes(), &mut datagram).unwrap();
        datagram
    };
    let (overtaken, first, moved) = (seal("overtaken"), seal("first"), seal("moved"));
    client.send(&first).unwrap();
    elsewhere.send(&overtaken).unwrap();
    elsewhere.send(&moved).unwrap();
    let mut buffer = [0; 100];
    for (text, newest) in [("first", true), ("overtaken", false), ("moved", true)] {
        match tokio::time::timeout(PATIENCE, listener.recv(&mut buffer)).await {
            Ok(Ok(Event::Datagram { len, is_newest, .. })) => {
                assert_eq!(&buffer[..len], text.as_bytes());
                assert_eq!(is_newest, newest, "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// An association that moved goes on at its new address, after it has shown that it receives there.
#[test]
fn a_peer_that_has_moved_is_told_to_the_application_alone() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let client = server.connect_by(socket);
    server.established();
    exchange(&client, "at home");
    assert!(matches!(server.next(), Told::Datagram(..)));
    // Without a connection ID an association has one address: nothing moves it.
    let elsewhere = "192.0.2.1:9".parse().unwrap();
    server.ask(move |listener| {
        listener
            .peers()
            .for_each(|peer| peer.set_address(elsewhere));
    });
    exchange(&client, "still at home");
}
