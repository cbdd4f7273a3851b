//! Our client, Python's `ssl` as the server: `server.py` says what it can do.

use std::net::SocketAddr;
use std::sync::Arc;

use underseal_testkit::{Peer, peers};

use crate::api::{Api, connect};
use crate::case::{Case, ask, cases, exchange, is_alert, is_truncated, payload, read_to_end};

fn server(case: &Case, words: &[&str]) -> (Peer, SocketAddr) {
    let mut command = peers::python(&case.certificates, include_str!("server.py"));
    peers::spawn_listening(command.args(words), "listening ")
}

cases!(exchanges_a_mebibyte: all);
fn exchanges_a_mebibyte(api: Api, case: &Case) {
    let (peer, address) = server(case, &[]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    case.check(&connection.facts());
    exchange(&mut *connection, &payload());
    connection.close().expect("Python reads");
    let (rest, end) = read_to_end(&mut *connection);
    assert_eq!(rest, b"");
    end.expect("Python answers with close_notify");
    let said = peer.finish().successful().text();
    assert!(said.contains(&case.openssl_suite()), "{said}");
    assert!(said.ends_with("ended: close_notify\n"), "{said}");
}

cases!(agrees_on_protocol_and_name: all);
fn agrees_on_protocol_and_name(api: Api, case: &Case) {
    let mut config = (*case.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (peer, address) = server(case, &["alpn=http/1.1"]);
    let connection = connect(api, &Arc::new(config), address).expect("handshake");
    assert_eq!(connection.facts().alpn.as_deref(), Some("http/1.1"));
    peer.wait_for("alpn=http/1.1 name=localhost");
}

cases!(asks_for_our_certificate: all);
fn asks_for_our_certificate(api: Api, case: &Case) {
    let config = Arc::new(case.certificates.mutual_client_config(case.suite));
    let (peer, address) = server(case, &["verify"]);
    let mut connection = connect(api, &config, address).expect("handshake");
    ask(&mut *connection, "hello", "hello");
    peer.wait_for("client=underseal test client");
}

cases!(refuses_us_without_certificate: all);
fn refuses_us_without_certificate(api: Api, case: &Case) {
    let (peer, address) = server(case, &["verify"]);
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
    peer.wait_for("refused: PEER_DID_NOT_RETURN_A_CERTIFICATE");
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let config = case.client();
    let (peer, address) = server(case, &["connections=2"]);
    let resumed = [(); 2].map(|()| {
        let mut connection = connect(api, &config, address).expect("handshake");
        // With an answer read, the tickets that came before it were read too.
        ask(&mut *connection, "hello", "hello");
        connection.close().expect("Python reads");
        read_to_end(&mut *connection)
            .1
            .expect("Python answers with close_notify");
        connection.facts().resumed
    });
    assert_eq!(resumed, [false, true]);
    peer.wait_for("reused=True");
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let (_peer, address) = server(case, &["cut"]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello", "hello");
    is_truncated(read_to_end(&mut *connection).1);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let (peer, address) = server(case, &[]);
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello", "hello");
    drop(connection);
    peer.wait_for("ended: cut off");
}
