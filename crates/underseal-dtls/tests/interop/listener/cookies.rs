//! Nothing is kept of a client that has not shown that it receives at its address.

use std::net::UdpSocket;

use openssl::ssl::SslStream;
use underseal_dtls::{HandshakeIo, ListenerConfig, Unadmitted};

use super::{Echo, assert_silent, exchange};
use crate::{SUITES, client, socket_to, sockets};

/// The first datagram of a client.
pub(crate) fn first_hello(server: &Echo) -> Vec<u8> {
    let (near, far) = sockets();
    near.set_nonblocking(true).unwrap();
    let mut ssl = client(&server.certificates, SUITES[0]);
    ssl.set_connect_state();
    let mut stream = SslStream::new(ssl, HandshakeIo::new(near).unwrap()).unwrap();
    stream.do_handshake().unwrap_err();
    receive(&far)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut datagram = vec![0; 2048];
    let len = socket.recv(&mut datagram).unwrap();
    datagram.truncate(len);
    datagram
}

/// The same hello with the cookie of a HelloVerifyRequest, or with another.
fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    // Headers, version, random; the session ID of a new client is empty, and so is its cookie.
    let at = 25 + 2 + 32 + 1;
    assert_eq!(hello[at - 1..=at], [0, 0]);
    let mut again = hello[..at].to_vec();
    again.push(cookie.len() as u8);
    again.extend(cookie);
    again.extend(&hello[at + 1..]);
    let added = cookie.len() as u16;
    for place in [11, 15, 23] {
        let len = u16::from_be_bytes([again[place], again[place + 1]]) + added;
        again[place..place + 2].copy_from_slice(&len.to_be_bytes());
    }
    // The numbers of record and message.
    again[10] = 1;
    again[18] = 1;
    again
}

/// Shows a cookie, and answers nothing of what comes then.
pub(crate) fn begin_and_leave(server: &Echo, socket: &UdpSocket) {
    let hello = first_hello(server);
    socket.send(&hello).unwrap();
    socket.send(&proven(&hello, socket)).unwrap();
}

/// `hello` with the cookie that `socket` has been asked for.
pub(crate) fn proven(hello: &[u8], socket: &UdpSocket) -> Vec<u8> {
    with_cookie(hello, &receive(socket)[28..])
}

#[test]
fn a_hello_is_answered_with_a_cookie_and_forgotten() {
    let server = Echo::start(ListenerConfig::default());
    let hello = first_hello(&server);
    let socket = socket_to(server.address);
    for _ in 0..100 {
        socket.send(&hello).unwrap();
        let request = receive(&socket);
        assert_eq!((request[0], request[13]), (22, 3), "a HelloVerifyRequest");
        assert!(request.len() < hello.len(), "an answer is no amplifier");
        assert_eq!(request[3..11], hello[3..11], "the hello's record number");
    }
    let counters = server.counters();
    assert_eq!(counters.verify_requests, 100);
    assert_eq!((counters.handshakes, counters.handshakes_failed), (0, 0));
}

#[test]
fn a_cookie_is_believed_from_its_address_and_with_its_hello_alone() {
    let server = Echo::start(ListenerConfig::default());
    let hello = first_hello(&server);
    let (socket, stranger) = (socket_to(server.address), socket_to(server.address));
    socket.send(&hello).unwrap();
    let cookie = receive(&socket)[28..].to_vec();
    let again = with_cookie(&hello, &cookie);
    let mut other = again.clone();
    other[25 + 2 + 5] ^= 1;
    let mut forged = cookie.clone();
    forged[9] ^= 1;
    for (from, wrong) in [
        (&stranger, &again),
        (&socket, &other),
        (&socket, &with_cookie(&hello, &forged)),
        (&socket, &with_cookie(&hello, &cookie[..20])),
    ] {
        from.send(wrong).unwrap();
        assert_eq!(receive(from)[13], 3, "another HelloVerifyRequest");
    }
    assert_eq!(server.counters().handshakes, 0);
    socket.send(&again).unwrap();
    let flight = receive(&socket);
    assert_eq!((flight[0], flight[13]), (22, 2), "a ServerHello");
    assert_eq!(flight[3..11], again[3..11], "under the hello's number");
    assert_eq!(server.counters().handshakes, 1);
}

/// What a hello that comes again begins is the same handshake, and after its end none.
#[test]
fn a_hello_that_is_repeated_begins_one_handshake() {
    let server = Echo::start(ListenerConfig::default());
    let hello = first_hello(&server);
    let socket = socket_to(server.address);
    socket.send(&hello).unwrap();
    let again = with_cookie(&hello, &receive(&socket)[28..]);
    for _ in 0..5 {
        socket.send(&again).unwrap();
    }
    server.await_counters(|counters| counters.handshakes > 0);
    exchange(&server.connect(), "another client");
    assert_eq!(server.counters().handshakes, 2);
}

#[test]
fn what_is_no_hello_and_nobodys_record_is_counted_by_its_reason_and_not_answered() {
    let server = Echo::start(ListenerConfig::default());
    let hello = first_hello(&server);
    let socket = socket_to(server.address);
    let record = |first: u8, epoch: u8| {
        let mut record = vec![first, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7, 0, 40];
        record.resize(13 + 40, 7);
        record
    };
    let changed = |at: usize, value: u8| {
        let mut changed = hello.clone();
        changed[at] = value;
        changed
    };
    for (datagram, reason) in [
        (vec![], Unadmitted::Truncated),
        (hello[..12].to_vec(), Unadmitted::Truncated),
        (record(23, 1), Unadmitted::Address),
        (record(22, 1), Unadmitted::Address),
        (record(22, 0), Unadmitted::Address),
        (record(21, 0), Unadmitted::Address),
        (record(25, 1), Unadmitted::ConnectionId),
        (hello[..hello.len() - 1].to_vec(), Unadmitted::Address),
        (changed(24, 1), Unadmitted::Fragmented),
        (changed(26, 0xff), Unadmitted::Version),
        ([&hello[..], &hello].concat(), Unadmitted::Malformed),
    ] {
        let before = server.counters().unadmitted(reason);
        socket.send(&datagram).unwrap();
        server.await_counters(|counters| counters.unadmitted(reason) == before + 1);
    }
    assert_silent(&socket);
    assert_eq!(server.counters().all_unadmitted(), 11);
}
