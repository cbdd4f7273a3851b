//! Our server, `gnutls-cli`.

use std::process::Command;

use underseal_testkit::{Peer, peers};

use crate::api::{Api, Serving, serve};
use crate::case::{Case, cases, echo, is_truncated, payload};

/// gnutls-cli as a pipe: data on stdout, what it has to say on stderr when it ends.
fn piping<T>(case: &Case, server: &Serving<T>, more: &[&str]) -> Command {
    let mut command = peers::gnutls_client(&case.certificates, server.address);
    // It takes no option after the host.
    command
        .args(["--logfile", "/dev/stderr"])
        .args(more)
        .arg("localhost");
    command
}

cases!(exchanges_a_mebibyte: all);
fn exchanges_a_mebibyte(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut peer = Peer::spawn(&mut piping(case, &server, &[]));
    peer.write(payload());
    assert!(
        peer.wait_for_stdout(payload().len()) == payload(),
        "the echo differs"
    );
    let finished = peer.finish().successful();
    assert!(
        finished.stderr.contains(case.suite.gnutls_name()),
        "{}",
        finished.stderr
    );
    let echoed = server.finish_one();
    case.check(&echoed.facts);
    assert_eq!(echoed.bytes, payload().len());
    echoed.end.expect("gnutls-cli sends close_notify");
}

cases!(agrees_on_protocol_and_name: all);
fn agrees_on_protocol_and_name(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = serve(api, config, 1, echo);
    let mut peer = Peer::spawn(&mut piping(case, &server, &["--alpn", "http/1.1"]));
    peer.write("hello\n");
    peer.wait_for("hello");
    let said = peer.finish().successful().stderr;
    assert!(said.contains("Application protocol: http/1.1"), "{said}");
    let facts = server.finish_one().facts;
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
}

cases!(presents_its_certificate: all);
fn presents_its_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, echo);
    let identity = [
        "--x509certfile",
        "client.pem",
        "--x509keyfile",
        "client.key",
    ];
    let mut peer = Peer::spawn(&mut piping(case, &server, &identity));
    peer.write("who am I\n");
    peer.wait_for("who am I");
    peer.finish().successful();
    assert_eq!(
        server.finish_one().facts.peer,
        Some(case.client_certificate())
    );
}

cases!(is_told_that_no_protocol_is_in_common: all);
fn is_told_that_no_protocol_is_in_common(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = serve(api, config, 1, echo);
    let peer = Peer::spawn(&mut piping(case, &server, &["--alpn", "foo"]));
    peer.wait_for("No supported application protocol");
    assert!(server.finish().remove(0).is_err());
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let server = serve(api, case.server(), 2, echo);
    // TLS 1.2 has its ticket by then, and knows no such wait.
    let options = ["--resume", "--waitresumption"];
    let options = if case.suite.is_tls13() {
        &options[..]
    } else {
        &options[..1]
    };
    let mut peer = Peer::spawn(&mut piping(case, &server, options));
    peer.write("hello\n");
    peer.wait_for("hello");
    let said = peer.finish().successful().stderr;
    assert!(said.contains("This is a resumed session"), "{said}");
    let resumed = server
        .finish()
        .into_iter()
        .map(|echoed| echoed.expect("handshake").facts.resumed);
    assert_eq!(resumed.collect::<Vec<_>>(), [false, true]);
}

cases!(updates_its_keys: tls13);
fn updates_its_keys(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut peer = Peer::spawn(&mut piping(case, &server, &["--inline-commands"]));
    peer.write("hello\n");
    peer.wait_for("hello");
    // `rekey` asks for new keys of ours too, `rekey1` updates its own.
    for (command, line) in [("rekey", "first"), ("rekey1", "second"), ("rekey", "third")] {
        peer.write(format!("^{command}^\n{line}\n"));
        peer.wait_for(line);
    }
    let said = peer.finish().successful().stderr;
    assert_eq!(said.matches("Rekey was completed").count(), 3, "{said}");
    server
        .finish_one()
        .end
        .expect("gnutls-cli sends close_notify");
}

cases!(updates_its_keys_at_once: tls13);
fn updates_its_keys_at_once(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut peer = Peer::spawn(&mut piping(case, &server, &["--inline-commands"]));
    // Its request for our new keys comes in one segment with the end of the handshake.
    peer.write("^rekey^\nhello\n");
    peer.wait_for("hello");
    peer.finish().successful();
    let end = server.finish_one().end;
    end.expect("gnutls-cli sends close_notify");
}

cases!(follows_our_key_updates: tls13);
fn follows_our_key_updates(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, |connection| {
        for _ in 0..3 {
            connection
                .key_update(true)
                .expect("TLS 1.3 has key updates");
            connection
                .write_all(b"under new keys\n")
                .expect("gnutls-cli reads");
            connection.flush().expect("gnutls-cli reads");
        }
        echo(connection)
    });
    let mut peer = Peer::spawn(&mut piping(case, &server, &[]));
    peer.wait_for_nth(3, "under new keys");
    peer.write("answered\n");
    peer.wait_for("answered");
    peer.finish().successful();
    server
        .finish_one()
        .end
        .expect("gnutls-cli sends close_notify");
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut peer = Peer::spawn(&mut piping(case, &server, &[]));
    peer.write("hello\n");
    peer.wait_for("hello");
    peer.kill();
    is_truncated(server.finish_one().end);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, |connection| {
        connection
            .write_all(b"not all\n")
            .expect("gnutls-cli reads");
        connection.flush().expect("gnutls-cli reads");
    });
    let peer = Peer::spawn(&mut piping(case, &server, &[]));
    peer.wait_for("not all");
    server.finish_one();
    peer.wait_for("non-properly terminated");
}
