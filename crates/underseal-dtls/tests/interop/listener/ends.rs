//! How associations end, and what does not end them.

use std::time::Duration;

use underseal_dtls::message::{Filter, Message};
use underseal_dtls::{Discard, Error, ListenerConfig};

use super::{Echo, Told, assert_silent, exchange};
use crate::{recv, socket_to};

fn ended(server: &Echo) -> Error {
    loop {
        match server.next() {
            Told::Ended(why) => return why,
            Told::Failed(_) => panic!("a handshake failed"),
            _ => {}
        }
    }
}

#[test]
fn a_client_that_closes_is_answered_and_forgotten() {
    let server = Echo::start(ListenerConfig::default());
    let client = server.connect();
    exchange(&client, "hello");
    client.close();
    assert!(matches!(recv(&client), Err(Error::ClosedByPeer)));
    assert!(matches!(ended(&server), Error::ClosedByPeer));
    assert_eq!(server.ask(|listener| listener.peers().count()), 0);
}

#[test]
fn a_peer_that_is_closed_is_told_and_forgotten_without_its_answer() {
    let server = Echo::start(ListenerConfig::default());
    let client = server.connect();
    let peer = server.established();
    peer.close();
    assert!(matches!(ended(&server), Error::Closed));
    assert!(matches!(recv(&client), Err(Error::ClosedByPeer)));
    let sent = peer.try_send(b"more");
    assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
}

#[test]
fn a_peer_whose_program_panics_is_told_and_forgotten() {
    let server = Echo::start(ListenerConfig::default());
    let client = server.connect();
    let peer = server.established();
    let panics = |_: &mut Message<'_>| panic!("the test has it panic");
    peer.attach(Filter::ingress(panics)).unwrap();
    client.send(b"judged").unwrap();
    assert!(matches!(ended(&server), Error::Denied(_)));
    assert!(matches!(recv(&client), Err(Error::ClosedByPeer)));
    let sent = peer.try_send(b"more");
    assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
}

#[test]
fn a_silent_association_ends_and_its_peer_is_told() {
    let mut config = ListenerConfig::default();
    config.idle_timeout = Duration::from_millis(300);
    let server = Echo::start(config);
    let client = server.connect();
    exchange(&client, "hello");
    assert!(matches!(ended(&server), Error::Silent));
    assert!(matches!(recv(&client), Err(Error::ClosedByPeer)));
    assert_eq!(server.ask(|listener| listener.peers().count()), 0);
}

#[test]
fn a_client_that_begins_anew_from_its_address_takes_the_place_of_what_it_had() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let first = server.connect_by(socket.try_clone().unwrap());
    exchange(&first, "first");
    let second = server.connect_by(socket);
    assert!(matches!(ended(&server), Error::Replaced));
    exchange(&second, "second");
    assert_eq!(server.ask(|listener| listener.peers().count()), 1);
}

/// Until the new handshake is over, the old association goes on (RFC 6347 section 4.2.8).
#[test]
fn a_hello_from_the_address_of_an_association_does_not_end_it() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let client = server.connect_by(socket.try_clone().unwrap());
    exchange(&client, "before");
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12 + 42];
    hello.extend([1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd]);
    hello.extend([5; 32]);
    hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    socket.send(&hello).unwrap();
    server.await_counters(|counters| counters.verify_requests == 2);
    exchange(&client, "after");
    assert_eq!(server.counters().handshakes, 1);
}

#[test]
fn forged_and_replayed_datagrams_of_an_association_are_counted_and_not_answered() {
    let server = Echo::start(ListenerConfig::default());
    let socket = socket_to(server.address);
    let client = server.connect_by(socket.try_clone().unwrap());
    exchange(&client, "before");
    let mut forged = vec![23, 0xfe, 0xfd, 0, 1, 0, 9, 9, 9, 9, 9, 0, 40];
    forged.resize(13 + 40, 7);
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for _ in 0..100 {
        socket.send(&forged).unwrap();
        socket.send(&alert).unwrap();
    }
    let counters = server.await_counters(|counters| counters.records.all_dropped() == 200);
    assert_eq!(counters.records.dropped(Discard::Forged), 100);
    assert_eq!(counters.records.dropped(Discard::Epoch), 100);
    assert_silent(&socket);
    exchange(&client, "after");
}
