//! Keying material, the same on both ends: OpenSSL and GnuTLS, each as client and as server, before
//! and after key updates.

use underseal_testkit::{Peer, peers};

use crate::api::{Api, EXPORTED_LEN, EXPORTER_LABEL, Facts, connect, serve};
use crate::case::{Case, ask, cases, echo, expect};

/// What OpenSSL and GnuTLS write before it.
const OPENSSL_SAYS: &str = "Keying material: ";
const GNUTLS_SAYS: &str = "Key material: ";

/// Whether `peer` says that it exported what our side did.
fn agrees(peer: &Peer, says: &str, facts: &Facts) {
    let line = peer.wait_for(says);
    let (_, theirs) = line.split_once(says).expect("the line has it");
    let ours = facts.exported.iter().map(|byte| format!("{byte:02x}"));
    assert_eq!(theirs.trim().to_lowercase(), ours.collect::<String>());
}

fn openssl_options() -> [String; 4] {
    let len = EXPORTED_LEN.to_string();
    ["-keymatexport", EXPORTER_LABEL, "-keymatexportlen", &len].map(str::to_owned)
}

fn gnutls_options() -> [String; 4] {
    let len = EXPORTED_LEN.to_string();
    ["--keymatexport", EXPORTER_LABEL, "--keymatexportsize", &len].map(str::to_owned)
}

cases!(an_openssl_client_exports_the_same: all);
fn an_openssl_client_exports_the_same(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.arg("-msg").args(openssl_options()));
    peer.write("first\n");
    peer.wait_for("\nfirst");
    if case.suite.is_tls13() {
        // It updates its own keys, and asks for ours.
        peer.write("K\n");
        peer.wait_for("KEYUPDATE");
        peer.write("second\n");
        peer.wait_for("\nsecond");
    }
    // Ours are exported at the end.
    peer.close_stdin();
    agrees(&peer, OPENSSL_SAYS, &server.finish_one().facts);
}

cases!(an_openssl_server_exports_the_same: all);
fn an_openssl_server_exports_the_same(api: Api, case: &Case) {
    let mut command = peers::openssl_server(&case.certificates);
    command.args(openssl_options());
    let (mut peer, address) = peers::spawn_listening(&mut command, "ACCEPT ");
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    agrees(&peer, OPENSSL_SAYS, &connection.facts());
    if case.suite.is_tls13() {
        connection.key_update(true).expect("s_server reads");
        // Its answer comes with what it sends.
        peer.write("hello\n");
        expect(&mut *connection, "hello\n");
        agrees(&peer, OPENSSL_SAYS, &connection.facts());
    }
    connection.close().expect("s_server reads");
}

cases!(a_gnutls_client_exports_the_same: all);
fn a_gnutls_client_exports_the_same(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::gnutls_client(&case.certificates, server.address);
    command.args(gnutls_options()).arg("localhost");
    let mut peer = Peer::spawn(&mut command);
    peer.write("hello\n");
    peer.wait_for("\nhello");
    peer.close_stdin();
    let facts = server.finish_one().facts;
    agrees(&peer, GNUTLS_SAYS, &facts);
    assert!(facts.has_channel_binding);
}

cases!(without_an_extended_master_secret_nothing_is_bound_to_the_channel: tls12);
fn without_an_extended_master_secret_nothing_is_bound_to_the_channel(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::gnutls_client(&case.certificates, server.address);
    command.args(["--priority", "NORMAL:%NO_SESSION_HASH"]);
    command.args(gnutls_options()).arg("localhost");
    let mut peer = Peer::spawn(&mut command);
    peer.write("hello\n");
    peer.wait_for("\nhello");
    peer.close_stdin();
    let facts = server.finish_one().facts;
    agrees(&peer, GNUTLS_SAYS, &facts);
    assert!(!facts.has_channel_binding);
}

cases!(a_gnutls_server_exports_the_same: all);
fn a_gnutls_server_exports_the_same(api: Api, case: &Case) {
    let (peer, address) = peers::spawn_on_free_port(|port| {
        let mut command = peers::gnutls_server(&case.certificates, port);
        command.args(["--echo", "--crlf"]).args(gnutls_options());
        command
    });
    let mut connection = connect(api, &case.client(), address).expect("handshake");
    ask(&mut *connection, "hello\n", "hello\n");
    agrees(&peer, GNUTLS_SAYS, &connection.facts());
    connection.close().expect("gnutls-serv reads");
}
