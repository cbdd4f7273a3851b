//! How many associations and handshakes there may be.

use std::time::Duration;

use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Error, ListenerConfig, Unadmitted};

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

#[test]
fn handshakes_that_nobody_finishes_are_bounded_and_end_in_time() {
    let mut config = ListenerConfig::default();
    // Longer than the patience of the client that is refused meanwhile.
    (config.max_handshakes, config.handshake_timeout) = (1, Duration::from_secs(2));
    let server = Echo::start(config);
    super::cookies::begin_and_leave(&server);
    server.await_counters(|counters| counters.handshakes == 1);
    refused(&server);
    assert!(server.counters().unadmitted(Unadmitted::Handshakes) > 0);
    assert!(matches!(server.next(), Told::Failed));
    exchange(&server.connect(), "has its place");
}
