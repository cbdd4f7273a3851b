//! Data that comes with the end of a handshake, or before it.

use std::thread;

use boring::ssl::{Ssl, SslFiletype, SslStream, SslVerifyMode, SslVersion};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::boring::prepare;
use underseal_dtls::{Discard, HandshakeIo};
use underseal_testkit::{Certificates, KeyType, PATIENCE, SERVER_NAME};

use crate::native::Native;
use crate::relay::{between, between_changing, drop_first, join_first};
use crate::{certificates, client, client_context, recv, server, server_context, sockets, ssl};

/// Both sides of a handshake in which the client's flight is longer than a datagram.
fn with_client_certificate() -> (Ssl, Ssl) {
    let id = format!("spiffe://{SERVER_NAME}/{}", "long".repeat(400));
    let certificates = Certificates::with_ids(KeyType::Ecdsa, &[], &[&id]);
    let mut client = client_context(&certificates, SslVersion::DTLS1_3);
    let certificate = certificates.client_cert_file();
    client.set_certificate_chain_file(certificate).unwrap();
    let key = certificates.client_key_file();
    client.set_private_key_file(key, SslFiletype::PEM).unwrap();
    let mut server = server_context(&certificates, SslVersion::DTLS1_3);
    server.set_ca_file(certificates.ca_file()).unwrap();
    server.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    let mut client = ssl(client);
    client.set_hostname(SERVER_NAME).unwrap();
    (client, ssl(server))
}

/// The beginning of the client's flight is lost, and comes again behind its Finished and its data.
#[test]
fn data_that_overtakes_a_part_of_the_clients_flight_is_received() {
    let (client, server) = with_client_certificate();
    let (near, far) = between(drop_first(1, 2), |_| true);
    let accepting = thread::spawn(move || DtlsSocket::accept_boring(server, far, PATIENCE));
    let connecting = thread::spawn(move || {
        let mut theirs = Native::connect(client, near);
        theirs.send("early");
        assert_eq!(theirs.recv(), "answer");
    });
    let ours = accepting.join().unwrap().unwrap();
    assert_eq!(recv(&ours).unwrap(), "early");
    ours.send(b"answer").unwrap();
    connecting.join().unwrap();
}

#[test]
fn what_a_flood_displaces_before_the_end_of_the_handshake_is_counted() {
    let certificates = certificates();
    let (near, far) = sockets();
    // As anybody can send it in the client's name: 64 KiB are kept of it.
    for _ in 0..70 {
        near.send(&[0x2f; 1000]).unwrap();
    }
    let client = client(&certificates);
    let connecting = thread::spawn(move || Native::connect(client, near));
    let ours = DtlsSocket::accept_boring(server(&certificates), far, PATIENCE).unwrap();
    connecting.join().unwrap().send("hello");
    assert_eq!(recv(&ours).unwrap(), "hello");
    assert!(ours.counters().dropped(Discard::Displaced) >= 5);
}

#[test]
fn data_behind_a_finished_is_received_once() {
    for is_read in [false, true] {
        let certificates = certificates();
        let (near, far) = between_changing(join_first(2), |_| true);
        let client = client(&certificates);
        let connecting = thread::spawn(move || {
            let mut theirs = Native::connect(client, near);
            theirs.send("behind");
            theirs
        });
        let mut ssl = server(&certificates);
        prepare(&mut ssl).unwrap();
        let mut ours = SslStream::new(ssl, HandshakeIo::new(far).unwrap()).unwrap();
        ours.accept().unwrap();
        if is_read {
            assert_eq!(ours.ssl_read(&mut [0; 100]).unwrap(), 6);
        }
        let ours = DtlsSocket::from_boring(ours).unwrap();
        if !is_read {
            assert_eq!(recv(&ours).unwrap(), "behind");
        }
        connecting.join().unwrap().send("fresh");
        assert_eq!(recv(&ours).unwrap(), "fresh");
    }
}
