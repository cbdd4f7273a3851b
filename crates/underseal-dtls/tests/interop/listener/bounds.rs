//! How many associations and handshakes there may be.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Error, ListenerConfig, Unadmitted};
use underseal_testkit::PATIENCE;

use super::cookies::begin_and_leave;
use super::{Echo, Told, exchange};
use crate::{SUITES, client, socket_to};

fn refused(server: &Echo) {
    let ssl = client(&server.certificates, SUITES[0]);
    let outcome = DtlsSocket::connect(ssl, socket_to(server.address), Duration::from_millis(300));
    assert!(
        matches!(outcome, Err(Error::HandshakeTimedOut)),
        "{outcome:?}"
    );
}

#[test]
fn beyond_the_bound_no_association_is_made_until_one_has_ended() {
    let mut config = ListenerConfig::default();
    config.max_associations = 2;
    let server = Echo::start(config);
    let (first, second) = (server.connect(), server.connect());
    refused(&server);
    assert!(server.counters().unadmitted(Unadmitted::Associations) > 0);
    exchange(&second, "goes on");
    first.close();
    while !matches!(server.next(), Told::Ended(_)) {}
    exchange(&server.connect(), "has its place");
}

#[test]
fn a_listener_that_admits_nobody_keeps_those_it_has() {
    let server = Echo::start(ListenerConfig::default());
    let client = server.connect();
    server.ask(|listener| listener.set_admitting(false));
    refused(&server);
    exchange(&client, "goes on");
    server.ask(|listener| listener.set_admitting(true));
    exchange(&server.connect(), "comes later");
}

/// The clients that begin a handshake at 127.0.0.`host`, one after the other, and leave.
fn leave(server: &Echo, hosts: &[u8]) -> Vec<UdpSocket> {
    let begin = |(host, number): (&u8, u64)| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, *host), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(server.address).unwrap();
        begin_and_leave(server, &socket);
        server.await_counters(|counters| counters.handshakes == number);
        socket
    };
    hosts.iter().zip(1..).map(begin).collect()
}

#[track_caller]
fn assert_failed(server: &Echo, client: &UdpSocket) {
    let expected = client.local_addr().unwrap();
    let told = server.next();
    assert!(
        matches!(told, Told::Failed(address) if address == expected),
        "{told:?}, not {expected}"
    );
}

#[test]
fn handshakes_that_nobody_finishes_end_in_time() {
    let mut config = ListenerConfig::default();
    config.handshake_timeout = Duration::from_millis(300);
    let server = Echo::start(config);
    let clients = leave(&server, &[1]);
    assert_failed(&server, &clients[0]);
    exchange(&server.connect(), "comes later");
}

#[test]
fn handshakes_that_nobody_finishes_keep_no_client_out() {
    for max_associations in [usize::MAX, 2] {
        let mut config = ListenerConfig::default();
        (config.max_handshakes, config.max_associations) = (2, max_associations);
        let server = Echo::start(config);
        let clients = leave(&server, &[1, 1]);
        exchange(&server.connect(), "has a place");
        assert_failed(&server, &clients[0]);
    }
}

#[test]
fn the_oldest_handshake_of_the_host_that_has_most_gives_way() {
    let mut config = ListenerConfig::default();
    config.max_handshakes = 4;
    let server = Echo::start(config);
    let clients = leave(&server, &[2, 3, 1, 1, 1, 4]);
    assert_failed(&server, &clients[2]);
    assert_failed(&server, &clients[3]);
}

#[test]
fn a_listener_without_handshakes_makes_none() {
    let mut config = ListenerConfig::default();
    config.max_handshakes = 0;
    let server = Echo::start(config);
    refused(&server);
    assert!(server.counters().unadmitted(Unadmitted::Handshakes) > 0);
}
