//! DTLS towards a service, for plain clients.

use std::thread;
use std::time::{Duration, Instant};

use underseal_testkit::{Certificates, KeyType, PATIENCE, Peer, SERVER_NAME, free_port, peers};

use crate::{Echo, exchange_plain, plain_client, start};

#[test]
fn a_plain_client_reaches_a_dtls_service() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let port = free_port();
    let mut command = peers::gnutls_server(&certificates, port);
    let server = Peer::spawn(command.args(["--udp", "--echo"]));
    let ca = certificates.ca_file().display().to_string();
    let proxy = start(format!("tls:127.0.0.1:{port}"))
        .plain()
        .with(&["--to-ca", &ca, "--to-name", SERVER_NAME])
        .start();
    // The server says nothing when it is ready; what is sent before is lost, as with UDP.
    let first = plain_client(&proxy);
    first
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("an option");
    let deadline = Instant::now() + PATIENCE;
    loop {
        first.send(b"first").expect("send");
        let mut buffer = [0; 100];
        match first.recv(&mut buffer) {
            Ok(len) => {
                assert_eq!(&buffer[..len], b"first");
                break;
            }
            Err(_) => assert!(Instant::now() < deadline, "no answer"),
        }
        thread::sleep(Duration::from_millis(20));
    }
    // It serves one client at a time.
    first.set_read_timeout(Some(PATIENCE)).expect("an option");
    first.send(b"second").expect("send");
    let mut buffer = [0; 100];
    loop {
        let len = first.recv(&mut buffer).expect("an answer");
        match &buffer[..len] {
            // The answers to what was sent again have come late.
            b"first" => {}
            answer => break assert_eq!(answer, b"second"),
        }
    }
    drop(server);
}

#[test]
fn both_sides_can_have_dtls() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let ca = certificates.ca_file().display().to_string();
    let service = Echo::new();
    let inner = start(service.address).certificates(certificates).start();
    let to = format!("tls:{}", inner.address);
    let outer = start(to)
        .plain()
        .with(&["--to-ca", &ca, "--to-name", SERVER_NAME])
        .start();
    let client = plain_client(&outer);
    exchange_plain(&client, "through two");
    exchange_plain(&client, &"long".repeat(300));
    exchange_plain(&plain_client(&outer), "of another client");
    assert_eq!(service.clients(), 2);
}

#[test]
fn a_service_whose_certificate_does_not_verify_gets_nothing() {
    let service = Echo::new();
    let inner = start(service.address).start();
    let other = Certificates::new(KeyType::Ecdsa);
    let ca = other.ca_file().display().to_string();
    let outer = start(format!("tls:{}", inner.address))
        .plain()
        .with(&["--to-ca", &ca, "--to-name", SERVER_NAME])
        .start();
    plain_client(&outer).send(b"secret").expect("send");
    let line = outer.logged(|line| !line["error"].is_null());
    assert_eq!(line["error"], "backend-handshake");
    assert_eq!(service.clients(), 0);
}
