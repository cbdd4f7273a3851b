//! Associations that are found by a connection ID, whatever address their datagrams come from.

use std::net::UdpSocket;

use underseal_dtls::{ConnectionIds, Discard, Error, ListenerConfig, Parts, Unadmitted};
use underseal_record::dtls::{ConnectionId, EpochKeys, EpochSecret, Opener, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys};

use super::{Echo, Told, assert_silent};
use crate::socket_to;

pub(super) fn keys(side: u8) -> EpochKeys {
    let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
    let keys = TrafficKeys::new(version, algorithm, &[side; 16], [9; 12], SeqNo(0)).unwrap();
    EpochKeys::new(keys, 1).unwrap()
}

fn id(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

/// The other end of an association that was added.
struct Wire {
    sealer: Sealer,
    opener: Opener,
}

impl Wire {
    fn data(&mut self, text: &str) -> Vec<u8> {
        let mut datagram = vec![0; text.len() + self.sealer.overhead()];
        let data = ContentType::APPLICATION_DATA;
        self.sealer
            .seal(data, text.as_bytes(), &mut datagram)
            .unwrap();
        datagram
    }

    fn receive(&mut self, socket: &UdpSocket) -> String {
        let mut datagram = vec![0; 2048];
        let len = socket.recv(&mut datagram).unwrap();
        let opened = self.opener.open(&mut datagram[..len]).opened.unwrap();
        String::from_utf8(datagram[opened.plaintext].to_vec()).unwrap()
    }
}

/// Adds an association of the socket's address.
fn add(server: &Echo, socket: &UdpSocket, ids: ConnectionIds) -> Result<Wire, Error> {
    let address = socket.local_addr().unwrap();
    let parts = Parts::new(keys(0), keys(1), ReplayWindow::default());
    server.ask(move |listener| listener.add(address, parts, ids).map(drop))?;
    let (mut sealer, mut opener) = (
        Sealer::new(keys(1)),
        Opener::new(keys(0), ReplayWindow::default()),
    );
    sealer.set_connection_id(ids.receive);
    opener.set_connection_id(ids.send);
    Ok(Wire { sealer, opener })
}

const RECEIVE: [u8; 8] = *b"of ours!";

pub(super) fn ids() -> ConnectionIds {
    ConnectionIds {
        receive: id(&RECEIVE),
        send: id(b"theirs"),
    }
}

#[test]
fn a_peer_is_found_at_another_address_and_answered_at_its_own() {
    let server = Echo::start(ListenerConfig::default());
    let (socket, elsewhere) = (socket_to(server.address), socket_to(server.address));
    let mut wire = add(&server, &socket, ids()).unwrap();
    socket.send(&wire.data("from home")).unwrap();
    assert_eq!(wire.receive(&socket), "from home");
    assert!(matches!(server.next(), Told::Datagram(..)));

    elsewhere.send(&wire.data("from afar")).unwrap();
    match server.next() {
        Told::Datagram(text, from) => {
            assert_eq!(text, "from afar");
            assert_eq!(from, elsewhere.local_addr().unwrap());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(wire.receive(&socket), "from afar");
    assert_silent(&elsewhere);
    assert_eq!(server.counters().moved, 1);
    // Whoever knows that it receives there may say so.
    let address = elsewhere.local_addr().unwrap();
    server.ask(move |listener| listener.peers().for_each(|peer| peer.set_address(address)));
    elsewhere.send(&wire.data("settled")).unwrap();
    assert_eq!(wire.receive(&elsewhere), "settled");
}

#[test]
fn records_with_another_connection_id_or_none_are_not_its_own() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let mut wire = add(&server, &socket, ids()).unwrap();
    let mut other = wire.data("x");
    other[11] ^= 1;
    socket.send(&other).unwrap();
    wire.sealer.set_connection_id(ConnectionId::EMPTY);
    socket.send(&wire.data("x")).unwrap();
    let counters = server.await_counters(|counters| counters.all_unadmitted() == 2);
    assert_eq!(counters.unadmitted(Unadmitted::ConnectionId), 1);
    assert_eq!(counters.unadmitted(Unadmitted::Address), 1);
    // And forged ones under its ID are dropped by it.
    wire.sealer.set_connection_id(id(&RECEIVE));
    let mut forged = wire.data("x");
    *forged.last_mut().unwrap() ^= 1;
    socket.send(&forged).unwrap();
    server.await_counters(|counters| counters.records.dropped(Discard::Forged) == 1);
    assert_silent(&socket);
}

#[test]
fn a_connection_id_of_dtls_1_3_is_refused() {
    let server = Echo::start(ListenerConfig::default());
    let parts = || {
        let keys = |side| EpochSecret::new(Algorithm::Aes128Gcm, &[side; 32], 3).unwrap();
        Parts::new(keys(0).keys(), keys(1).keys(), ReplayWindow::default())
    };
    let add = move |receive| {
        let ids = ConnectionIds { receive, ..ids() };
        let address = server.address;
        server.ask(move |listener| listener.add(address, parts(), ids).map(drop))
    };
    assert!(matches!(add(id(&RECEIVE)), Err(Error::ConnectionId)));
    add(ConnectionId::EMPTY).unwrap();
}

#[test]
fn connection_ids_that_cannot_be_told_apart_are_refused() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    add(&server, &socket, ids()).unwrap();
    let short = ConnectionIds {
        receive: id(b"short"),
        ..ids()
    };
    for refused in [ids(), short] {
        let outcome = add(&server, &socket, refused);
        assert!(matches!(outcome.map(drop), Err(Error::ConnectionId)));
    }
}
