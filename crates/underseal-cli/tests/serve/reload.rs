//! New certificates while the server runs.

use std::fs;

use rustix::process::Signal;
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::client::Client;
use crate::harness::{Server, fingerprint};

/// Puts the pair of `from` where the server reads its own.
fn replace(server: &Server, from: &Certificates) {
    for (source, target) in [
        (
            from.server_cert_file(),
            server.certificates.server_cert_file(),
        ),
        (
            from.server_key_file(),
            server.certificates.server_key_file(),
        ),
    ] {
        fs::copy(source, target).expect("copy");
    }
}

fn shown_to(server: &Server, trusted: &Certificates) -> Vec<u8> {
    let config = trusted.client_config(Suite::Tls13Aes128);
    Client::connect(server.address, config).server_certificate()
}

#[test]
fn sighup_brings_the_new_certificate_and_keeps_old_downloads() {
    let server = Server::start();
    server.write_sparse("f", 64 << 20);
    let mut old = server.client();
    old.get("/f");
    assert_eq!(old.head().status, 200);

    let renewed = Certificates::new(KeyType::Ecdsa);
    replace(&server, &renewed);
    server.signal(Signal::HUP);
    let expected = fingerprint(&renewed.server_cert_file());
    server
        .peer
        .wait_for(&format!("certificate loaded again, SHA-256 {expected}"));
    let (chain, _) = renewed.server_identity();
    assert_eq!(shown_to(&server, &renewed), chain[0].to_vec());

    let mut body = vec![1; 64 << 20];
    old.read_body(&mut body);
    old.get("/none");
    assert_eq!(old.response().status, 404);
}

#[test]
fn changed_files_are_noticed_without_a_signal() {
    let server = Server::start();
    let renewed = Certificates::new(KeyType::Ecdsa);
    replace(&server, &renewed);
    server.peer.wait_for("certificate loaded again");
    let (chain, _) = renewed.server_identity();
    assert_eq!(shown_to(&server, &renewed), chain[0].to_vec());
}

#[test]
fn a_bad_new_pair_keeps_the_old_one_and_says_why() {
    let server = Server::start();
    let before = server.client().server_certificate();
    let foreign = Certificates::new(KeyType::Ecdsa);
    fs::copy(
        foreign.server_key_file(),
        server.certificates.server_key_file(),
    )
    .expect("copy");
    server.signal(Signal::HUP);
    let line = server.peer.wait_for("the old certificate stays");
    assert!(line.contains("do not belong together"), "{line}");
    assert_eq!(server.client().server_certificate(), before);
    fs::write(server.certificates.server_cert_file(), "nonsense").expect("write");
    server.signal(Signal::HUP);
    server.peer.wait_for("no certificate in it");
    assert_eq!(server.client().server_certificate(), before);
}
