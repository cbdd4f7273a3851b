//! Our client, `openssl s_server`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use underseal_testkit::{Peer, peers};

use crate::api::{Api, connect};
use crate::case::{Case, ask, cases, expect, is_alert, is_truncated, payload, read_to_end};

/// Where s_server says that it listens.
const LISTENING: &str = "ACCEPT ";

/// s_server that sends every line back reversed.
fn reversing(case: &Case) -> Command {
    let mut command = peers::openssl_server(&case.certificates);
    command.arg("-rev");
    command
}

fn spawn(command: &mut Command) -> (Peer, SocketAddr) {
    peers::spawn_listening(command, LISTENING)
}

cases!(sends_a_mebibyte: all);
fn sends_a_mebibyte(api: Api, case: &Case) {
    fs::write(case.certificates.directory().join("payload"), payload()).expect("a file is written");
    let (_peer, address) = spawn(peers::openssl_server(&case.certificates).arg("-HTTP"));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    case.check(&connection.facts());
    connection
        .write_all(b"GET /payload HTTP/1.0\r\n\r\n")
        .expect("s_server reads");
    connection.flush().expect("s_server reads");
    let (received, end) = read_to_end(&mut *connection);
    assert!(
        received == payload(),
        "{} bytes that differ",
        received.len()
    );
    end.expect("s_server sends close_notify");
}

cases!(receives_a_mebibyte: all);
fn receives_a_mebibyte(api: Api, case: &Case) {
    let mut command = peers::openssl_server(&case.certificates);
    let (peer, address) = spawn(&mut command);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    // What it has to say about the connection comes before what it receives.
    peer.wait_for("Secure Renegotiation IS");
    let said = peer.stdout().len();
    connection.write_all(&payload()).expect("s_server reads");
    connection.close().expect("s_server reads");
    let output = peer.wait_for_stdout(said + payload().len());
    assert!(
        output[said..][..payload().len()] == payload(),
        "it received something else"
    );
}

cases!(agrees_on_protocol: all);
fn agrees_on_protocol(api: Api, case: &Case) {
    let mut config = (*case.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut command = peers::openssl_server(&case.certificates);
    let (peer, address) = spawn(command.args(["-alpn", "other,http/1.1"]));
    let mut connection = connect(api, &Arc::new(config), address).expect("handshake");
    let facts = connection.facts();
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(
        facts.peer,
        Some(case.certificates.server_identity().0.remove(0))
    );
    peer.wait_for("ALPN protocols selected: http/1.1");
    peer.wait_for(&format!("CIPHER is {}", case.openssl_suite()));
    connection.close().expect("s_server reads");
}

cases!(agrees_on_name: all);
fn agrees_on_name(api: Api, case: &Case) {
    let mut command = peers::openssl_server(&case.certificates);
    command.args(["-servername", "localhost", "-servername_fatal"]);
    let (peer, address) = spawn(command.args(["-cert2", "server.pem", "-key2", "server.key"]));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    peer.wait_for("Hostname in TLS extension: \"localhost\"");
    connection.close().expect("s_server reads");
}

cases!(asks_for_our_certificate: all);
fn asks_for_our_certificate(api: Api, case: &Case) {
    let config = Arc::new(case.certificates.mutual_client_config(case.suite));
    let (peer, address) = spawn(verifying(&mut reversing(case)));
    let mut connection = connect(api, &config, address).expect("handshake");
    ask(&mut *connection, "hello\n", "olleh\n");
    peer.wait_for("CN = underseal test client");
    connection.close().expect("s_server reads");
}

cases!(refuses_us_without_certificate: all);
fn refuses_us_without_certificate(api: Api, case: &Case) {
    let (peer, address) = spawn(verifying(&mut reversing(case)));
    // In TLS 1.3 the refusal comes after our side of the handshake is done.
    let refused = connect(api, &case.client(), address)
        .and_then(|mut connection| read_to_end(&mut *connection).1);
    let error = refused.expect_err("a client without certificate is refused");
    let alert = if case.suite.is_tls13() {
        "certificate_required"
    } else {
        "handshake_failure"
    };
    is_alert(&error, alert);
    peer.wait_for("peer did not return a certificate");
}

fn verifying(command: &mut Command) -> &mut Command {
    command.args(["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"])
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let config = case.client();
    let (_peer, address) = spawn(reversing(case).args(["-naccept", "2"]));
    let resumed = [(); 2].map(|()| {
        let mut connection = connect(api, &config, address).expect("handshake");
        // With an answer read, the tickets that came before it were read too.
        ask(&mut *connection, "hello\n", "olleh\n");
        connection.close().expect("s_server reads");
        connection.facts().resumed
    });
    assert_eq!(resumed, [false, true]);
}

cases!(updates_its_keys: tls13);
fn updates_its_keys(api: Api, case: &Case) {
    let (mut peer, address) = spawn(peers::openssl_server(&case.certificates).arg("-msg"));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    // `k` updates its own keys; `K` asks for ours too, and the answer comes with what we send.
    let updates = [("k\n", "first\n"), ("K\n", "second\n"), ("K\n", "third\n")];
    for (index, (command, line)) in updates.into_iter().enumerate() {
        peer.write(command);
        peer.wait_for_nth(index + 1, ">>> TLS 1.3, Handshake [length 0005], KeyUpdate");
        peer.write(line);
        expect(&mut *connection, line);
        connection.write_all(b"received\n").expect("s_server reads");
        connection.flush().expect("s_server reads");
        peer.wait_for_nth(index + 1, "\nreceived");
    }
    connection.close().expect("s_server reads");
    let text = peer.finish().text();
    assert_eq!(
        text.matches("<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
            .count(),
        2,
        "{text}"
    );
}

cases!(follows_our_key_updates: tls13);
fn follows_our_key_updates(api: Api, case: &Case) {
    let (peer, address) = spawn(reversing(case).arg("-msg"));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    for nth in 1..=3 {
        connection
            .key_update(true)
            .expect("TLS 1.3 has key updates");
        ask(&mut *connection, "hello\n", "olleh\n");
        peer.wait_for_nth(nth, "<<< TLS 1.3, Handshake [length 0005], KeyUpdate");
        peer.wait_for_nth(nth, ">>> TLS 1.3, Handshake [length 0005], KeyUpdate");
    }
    connection.close().expect("s_server reads");
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let (mut peer, address) = spawn(&mut reversing(case));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello\n", "olleh\n");
    peer.kill();
    is_truncated(read_to_end(&mut *connection).1);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let (mut peer, address) = spawn(&mut peers::openssl_server(&case.certificates));
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    // What was not read when a socket closes resets it, and tickets come first.
    peer.write("hello\n");
    expect(&mut *connection, "hello\n");
    connection.write_all(b"not all\n").expect("s_server reads");
    connection.flush().expect("s_server reads");
    peer.wait_for("\nnot all");
    drop(connection);
    peer.wait_for("unexpected eof");
}
