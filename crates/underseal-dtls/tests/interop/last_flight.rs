//! The flight that ends a handshake is sent by somebody who then is done: where it is lost, the
//! socket that took the handshake over sends it again.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use openssl::ssl::SslStream;
use underseal_dtls::HandshakeIo;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use crate::relay::Relay;
use crate::{SUITES, certificates, client, recv, server};

/// Whether a datagram of the handshake holds the server's Finished: a record of epoch 1.
pub(crate) fn ends_the_handshake(mut datagram: &[u8]) -> bool {
    while let Some(header) = datagram.get(..13) {
        if header[4] == 1 {
            return true;
        }
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        datagram = datagram.get(13 + len..).unwrap_or_default();
    }
    false
}

#[test]
fn a_last_flight_that_was_lost_is_sent_again_to_a_client_that_asks() {
    let mut lost = false;
    let (near, far, _relay) = Relay::between(move |datagram| {
        let passes = lost || !ends_the_handshake(datagram);
        lost |= !passes;
        passes
    });
    let certificates = certificates();
    let ssl = server(&certificates);
    let serving = thread::spawn(move || {
        let server = DtlsSocket::accept(ssl, far, PATIENCE).unwrap();
        (recv(&server).unwrap(), server)
    });
    let client = DtlsSocket::connect(client(&certificates, SUITES[0]), near, PATIENCE).unwrap();
    client.send(b"at last").unwrap();
    let (received, server) = serving.join().unwrap();
    assert_eq!(received, "at last");
    assert_eq!(server.counters().flights_resent, 1);
    server.send(b"answer").unwrap();
    assert_eq!(recv(&client).unwrap(), "answer");
}

/// OpenSSL sends its Finished again, under a new number, to a client that repeats its own. The first may come when
/// that client's handshake is over: the client, which ended it, owes nothing for it.
#[test]
fn a_finished_of_openssl_that_comes_late_is_dropped_and_not_answered() {
    let held = Arc::new(Mutex::new(None));
    let holds = Arc::clone(&held);
    let (near, far, relay) = Relay::between(move |datagram| {
        let mut held = holds.lock().unwrap();
        let passes = held.is_some() || !ends_the_handshake(datagram);
        if !passes {
            *held = Some(datagram.to_vec());
        }
        passes
    });
    let certificates = certificates();
    let mut ssl = server(&certificates);
    let serving = thread::spawn(move || {
        ssl.set_accept_state();
        let mut server = SslStream::new(ssl, HandshakeIo::new(far).unwrap()).unwrap();
        server.do_handshake().unwrap();
        let mut buffer = [0; 100];
        let len = server.read(&mut buffer).unwrap();
        server.write_all(&buffer[..len]).unwrap();
    });
    let client = DtlsSocket::connect(client(&certificates, SUITES[0]), near, PATIENCE).unwrap();
    let late = held.lock().unwrap().clone().unwrap();
    relay.send_to_client(&late);
    client.send(b"question").unwrap();
    assert_eq!(recv(&client).unwrap(), "question");
    serving.join().unwrap();
    let counters = client.counters();
    assert_eq!(counters.opened, 2, "the Finished, and the data");
    assert_eq!((counters.sealed, counters.flights_resent), (1, 0));
}
