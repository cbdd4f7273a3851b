//! Clients of several makes.

use std::process::Command;

use underseal_dtls::{Error, ListenerConfig};
use underseal_testkit::{PATIENCE, Peer, SERVER_NAME, peers, require_program};

use super::{Echo, Told, exchange};
use crate::{SUITES, client, socket_to};

#[test]
fn many_clients_have_their_own_associations_behind_one_socket() {
    let server = Echo::start(ListenerConfig::default());
    let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (index, client) in clients.iter().enumerate() {
            exchange(client, &format!("{index} in round {round}"));
        }
    }
    let counters = server.counters();
    // A client that waits for a second on a busy machine repeats its hello.
    assert!(
        counters.verify_requests >= 20,
        "each was asked for its cookie"
    );
    assert_eq!((counters.handshakes, counters.handshakes_failed), (20, 0));
    assert_eq!(counters.records.all_dropped(), 0);
    assert_eq!(counters.all_unadmitted(), 0);
    assert_eq!(server.ask(|listener| listener.peers().count()), 20);
}

#[test]
fn every_suite_is_taken_over() {
    let server = Echo::start(ListenerConfig::default());
    for suite in SUITES {
        let ssl = client(&server.certificates, suite);
        let socket = socket_to(server.address);
        let client = underseal_dtls::blocking::DtlsSocket::connect(ssl, socket, PATIENCE);
        exchange(&client.unwrap(), suite);
    }
}

#[test]
fn openssl_s_client_talks_both_ways_and_closes() {
    let server = Echo::start(ListenerConfig::default());
    let mut command = peers::openssl_client(&server.certificates, server.address);
    command.args(["-dtls1_2", "-quiet", "-no_ign_eof"]);
    let mut peer = Peer::spawn(&mut command);
    match server.next() {
        Told::Established(_, name) => assert_eq!(name.as_deref(), Some(SERVER_NAME)),
        other => panic!("{other:?}"),
    }
    peer.write("to the server and back\n");
    peer.wait_for("to the server and back");
    assert!(matches!(server.next(), Told::Datagram(..)));
    peer.close_stdin();
    assert!(matches!(server.next(), Told::Ended(Error::ClosedByPeer)));
    peer.finish().successful();
}

#[test]
fn gnutls_cli_talks_both_ways_and_closes() {
    let server = Echo::start(ListenerConfig::default());
    let mut command = peers::gnutls_client(&server.certificates, server.address);
    let mut peer = Peer::spawn(command.args(["--udp", SERVER_NAME]));
    server.established();
    peer.write("to the server and back\n");
    peer.wait_for("to the server and back");
    assert!(matches!(server.next(), Told::Datagram(..)));
    peer.close_stdin();
    assert!(matches!(server.next(), Told::Ended(Error::ClosedByPeer)));
}

/// A request of CoAP, given back as it is, is a message that the client has no use for: what is tested
/// is the handshake and the records.
#[test]
fn a_coap_client_sends_its_request() {
    let server = Echo::start(ListenerConfig::default());
    let mut command = Command::new(require_program("coap-client-openssl"));
    command.arg("-C").arg(server.certificates.ca_file());
    command.args(["-B", "2", "-m", "get"]);
    command.arg(format!("coaps://{}/resource", server.address));
    let peer = Peer::spawn(&mut command);
    server.established();
    match server.next() {
        Told::Datagram(request, _) => assert!(request.contains("resource"), "{request:?}"),
        other => panic!("{other:?}"),
    }
    drop(peer);
}
