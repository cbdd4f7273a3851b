//! Our client, `gnutls-serv`.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use underseal_testkit::{Peer, peers};

use crate::api::{Api, connect};
use crate::case::{Case, ask, cases, is_alert, is_truncated, payload, read_to_end};

/// gnutls-serv that sends back what it receives. It asks every client for a certificate, and goes
/// on without unless it is told to require one.
fn echoing(case: &Case, more: &[&str]) -> (Peer, SocketAddr) {
    peers::spawn_on_free_port(|port| {
        let mut command = peers::gnutls_server(&case.certificates, port);
        command
            .args(["--echo", "--crlf", "--x509cafile", "ca.pem"])
            .args(more);
        command
    })
}

cases!(echoes_a_mebibyte: all);
fn echoes_a_mebibyte(api: Api, case: &Case) {
    let (peer, address) = echoing(case, &[]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    case.check(&connection.facts());
    peer.wait_for(case.suite.gnutls_name());
    // It echoes lines of text, and the last of a piece when the whole piece was read.
    for line in 0..1 << 10 {
        let text = format!("{line:>1023}\n");
        ask(&mut *connection, &text, &text);
    }
    connection.close().expect("gnutls-serv reads");
    let (rest, end) = read_to_end(&mut *connection);
    assert_eq!(rest, b"");
    end.expect("gnutls-serv answers with close_notify");
}

cases!(sends_a_mebibyte: all);
fn sends_a_mebibyte(api: Api, case: &Case) {
    fs::write(case.certificates.directory().join("payload"), payload()).expect("a file is written");
    let (_peer, address) = peers::spawn_on_free_port(|port| {
        let mut command = peers::gnutls_server(&case.certificates, port);
        command.args(["--http", "--httpdata", "payload"]);
        command
    });
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    connection
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("gnutls-serv reads");
    connection.flush().expect("gnutls-serv reads");
    let (received, end) = read_to_end(&mut *connection);
    assert!(
        received.ends_with(&payload()),
        "{} bytes that differ",
        received.len()
    );
    end.expect("gnutls-serv sends close_notify");
}

cases!(agrees_on_protocol: all);
fn agrees_on_protocol(api: Api, case: &Case) {
    let mut config = (*case.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (_peer, address) = echoing(case, &["--alpn", "http/1.1", "--alpn-fatal"]);
    let connection = connect(api, &Arc::new(config), address).expect("handshake");
    assert_eq!(connection.facts().alpn.as_deref(), Some("http/1.1"));
}

cases!(agrees_on_name: all);
fn agrees_on_name(api: Api, case: &Case) {
    let (_peer, address) = echoing(
        case,
        &["--sni-hostname", "localhost", "--sni-hostname-fatal"],
    );
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello\n", "hello\n");
}

cases!(asks_for_our_certificate: all);
fn asks_for_our_certificate(api: Api, case: &Case) {
    let config = Arc::new(case.certificates.mutual_client_config(case.suite));
    let (peer, address) = echoing(case, &["--require-client-cert", "--verify-client-cert"]);
    let mut connection = connect(api, &config, address).expect("handshake");
    ask(&mut *connection, "hello\n", "hello\n");
    peer.wait_for("CN=underseal test client");
}

cases!(refuses_us_without_certificate: all);
fn refuses_us_without_certificate(api: Api, case: &Case) {
    let (_peer, address) = echoing(case, &["--require-client-cert", "--verify-client-cert"]);
    // In TLS 1.3 the refusal comes after our side of the handshake is done.
    let refused = connect(api, &case.client(), address)
        .and_then(|mut connection| read_to_end(&mut *connection).1);
    let error = refused.expect_err("a client without certificate is refused");
    // GnuTLS has this alert for an empty Certificate message of TLS 1.2.
    let alert = if case.suite.is_tls13() {
        "certificate_required"
    } else {
        "decode_error"
    };
    is_alert(&error, alert);
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let config = case.client();
    let (_peer, address) = echoing(case, &[]);
    let resumed = [(); 2].map(|()| {
        let mut connection = connect(api, &config, address).expect("handshake");
        // With an answer read, the tickets that came before it were read too.
        ask(&mut *connection, "hello\n", "hello\n");
        connection.close().expect("gnutls-serv reads");
        connection.facts().resumed
    });
    assert_eq!(resumed, [false, true]);
}

cases!(follows_our_key_updates: tls13);
fn follows_our_key_updates(api: Api, case: &Case) {
    let (_peer, address) = echoing(case, &[]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    for _ in 0..3 {
        connection
            .key_update(true)
            .expect("TLS 1.3 has key updates");
        // The first answer may overtake the peer's own update, the second cannot.
        ask(&mut *connection, "hello\n", "hello\n");
        ask(&mut *connection, "hello\n", "hello\n");
    }
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let (mut peer, address) = echoing(case, &[]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello\n", "hello\n");
    peer.kill();
    is_truncated(read_to_end(&mut *connection).1);
}
