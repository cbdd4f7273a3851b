//! The flight that ends a handshake is sent by somebody who then is done: where it is lost, the
//! socket that took the handshake over sends it again.

use std::thread;

use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use crate::relay::Relay;
use crate::{SUITES, certificates, client, recv, server};

/// Whether a datagram of the handshake holds the server's Finished: a record of epoch 1.
fn ends_the_handshake(mut datagram: &[u8]) -> bool {
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
