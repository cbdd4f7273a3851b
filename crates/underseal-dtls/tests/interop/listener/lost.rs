//! Datagrams that are lost on the way to a listener, and from it.

use std::net::UdpSocket;
use std::thread;

use underseal_dtls::ListenerConfig;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use super::{Echo, exchange};
use crate::{SUITES, client, socket_to, sockets};

/// A client's socket with somebody between it and the server, who loses the datagrams of which the
/// functions say so: by their place among those of their way.
fn lossy(
    server: &Echo,
    to_server: impl Fn(usize, &[u8]) -> bool + Send + 'static,
    to_client: impl Fn(usize, &[u8]) -> bool + Send + 'static,
) -> UdpSocket {
    let (client, near) = sockets();
    let far = socket_to(server.address);
    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    carry(near, far, to_server);
    carry(far_too, near_too, to_client);
    client
}

fn carry(from: UdpSocket, to: UdpSocket, is_lost: impl Fn(usize, &[u8]) -> bool + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut place = 0;
        while let Ok(len) = from.recv(&mut buffer) {
            if !is_lost(place, &buffer[..len]) && to.send(&buffer[..len]).is_err() {
                return;
            }
            place += 1;
        }
    });
}

fn connect(server: &Echo, socket: UdpSocket) -> DtlsSocket {
    let ssl = client(&server.certificates, SUITES[0]);
    DtlsSocket::connect(ssl, socket, PATIENCE).unwrap()
}

/// The client's second hello has another number then than OpenSSL would think.
#[test]
fn a_first_hello_that_is_lost_is_made_up_for() {
    let server = Echo::start(ListenerConfig::default());
    let socket = lossy(&server, |place, _| place == 0, |_, _| false);
    exchange(&connect(&server, socket), "after all");
    let counters = server.counters();
    assert_eq!((counters.verify_requests, counters.handshakes), (1, 1));
}

#[test]
fn a_request_for_a_cookie_that_is_lost_is_made_again() {
    let server = Echo::start(ListenerConfig::default());
    let socket = lossy(&server, |_, _| false, |place, _| place == 0);
    exchange(&connect(&server, socket), "after all");
    let counters = server.counters();
    assert_eq!((counters.verify_requests, counters.handshakes), (2, 1));
}

#[test]
fn a_flight_of_the_server_that_is_lost_is_sent_again() {
    let server = Echo::start(ListenerConfig::default());
    let socket = lossy(&server, |_, _| false, |place, _| place == 1);
    exchange(&connect(&server, socket), "after all");
    assert_eq!(server.counters().handshakes, 1);
}

#[test]
fn a_last_flight_that_is_lost_is_sent_again_to_a_client_that_asks() {
    let server = Echo::start(ListenerConfig::default());
    let lost = std::sync::atomic::AtomicBool::new(false);
    let is_last = move |_: usize, datagram: &[u8]| {
        let has_finished = datagram
            .windows(5)
            .any(|head| head == [22, 0xfe, 0xfd, 0, 1]);
        has_finished && !lost.swap(true, std::sync::atomic::Ordering::Relaxed)
    };
    let socket = lossy(&server, |_, _| false, is_last);
    exchange(&connect(&server, socket), "after all");
    let counters = server.counters();
    assert_eq!(counters.records.flights_resent, 1);
    assert_eq!(counters.handshakes, 1);
}
