//! Our server, `openssl s_client`.

use std::sync::mpsc;

use underseal_testkit::{Peer, peers};

use crate::api::{Api, serve};
use crate::case::{Case, cases, echo, is_truncated, payload};

/// s_client as a pipe: nothing but data on stdout, no command letters, and close_notify at the end
/// of stdin.
const AS_PIPE: [&str; 3] = ["-quiet", "-no_ign_eof", "-nocommands"];

cases!(exchanges_a_mebibyte: all);
fn exchanges_a_mebibyte(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.args(AS_PIPE));
    peer.write(payload());
    assert!(
        peer.wait_for_stdout(payload().len()) == payload(),
        "the echo differs"
    );
    peer.finish().successful();
    let echoed = server.finish_one();
    case.check(&echoed.facts);
    assert_eq!(echoed.bytes, payload().len());
    echoed.end.expect("s_client sends close_notify");
}

cases!(agrees_on_protocol_and_name: all);
fn agrees_on_protocol_and_name(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = serve(api, config, 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.args(["-alpn", "http/1.1,other"]));
    peer.write("hello\n");
    peer.wait_for("ALPN protocol: http/1.1");
    peer.wait_for(&format!("Cipher is {}", case.openssl_suite()));
    peer.finish().successful();
    let facts = server.finish_one().facts;
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
    assert!(!facts.resumed);
}

cases!(presents_its_certificate: all);
fn presents_its_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    command
        .args(AS_PIPE)
        .args(["-cert", "client.pem", "-key", "client.key"]);
    let mut peer = Peer::spawn(&mut command);
    peer.write("who am I\n");
    peer.wait_for("who am I");
    peer.finish().successful();
    assert_eq!(
        server.finish_one().facts.peer,
        Some(case.client_certificate())
    );
}

cases!(is_refused_without_certificate: all);
fn is_refused_without_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let peer = Peer::spawn(command.args(["-quiet"]));
    peer.wait_for("alert certificate required");
    assert!(
        server.finish().remove(0).is_err(),
        "a client without certificate is refused"
    );
}

cases!(is_told_that_no_protocol_is_in_common: all);
fn is_told_that_no_protocol_is_in_common(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = serve(api, config, 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let peer = Peer::spawn(command.args(["-alpn", "foo"]));
    peer.wait_for("alert no application protocol");
    assert!(server.finish().remove(0).is_err());
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let server = serve(api, case.server(), 2, echo);
    for (session, expected) in [("-sess_out", "New, TLSv1."), ("-sess_in", "Reused, TLSv1.")] {
        let mut command = peers::openssl_client(&case.certificates, server.address);
        let mut peer = Peer::spawn(command.args([session, "session.pem"]));
        // With an answer read, the tickets that came before it were read too.
        peer.write("hello\n");
        peer.wait_for("\nhello");
        peer.wait_for(expected);
        peer.finish().successful();
    }
    let resumed = server
        .finish()
        .into_iter()
        .map(|echoed| echoed.expect("handshake").facts.resumed);
    assert_eq!(resumed.collect::<Vec<_>>(), [false, true]);
}

cases!(updates_its_keys: tls13);
fn updates_its_keys(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.args(["-msg"]));
    peer.write("first\n");
    peer.wait_for("\nfirst");
    // `k` updates its own keys; `K` asks for ours too, and the answer comes with what we send.
    let updates = [("k\n", "second"), ("K\n", "third"), ("K\n", "fourth")];
    for (index, (command, line)) in updates.into_iter().enumerate() {
        peer.write(command);
        peer.wait_for_nth(index + 1, "KEYUPDATE");
        peer.write(format!("{line}\n"));
        peer.wait_for(&format!("\n{line}"));
    }
    let text = peer.finish().successful().text();
    assert_eq!(
        text.matches(">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
            .count(),
        3,
        "{text}"
    );
    assert_eq!(
        text.matches("<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
            .count(),
        2,
        "{text}"
    );
    server
        .finish_one()
        .end
        .expect("s_client sends close_notify");
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
                .expect("s_client reads");
            connection.flush().expect("s_client reads");
        }
        echo(connection)
    });
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.args(["-msg"]));
    peer.write("answered\n");
    peer.wait_for("\nanswered");
    let text = peer.finish().successful().text();
    assert_eq!(text.matches("under new keys").count(), 3, "{text}");
    assert_eq!(
        text.matches("<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
            .count(),
        3,
        "{text}"
    );
    // One answer may be for several requests.
    assert!(
        text.contains(">>> TLS 1.3, Handshake [length 0005], KeyUpdate"),
        "{text}"
    );
    server
        .finish_one()
        .end
        .expect("s_client sends close_notify");
}

cases!(is_seen_to_be_cut_off: all);
fn is_seen_to_be_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, echo);
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let mut peer = Peer::spawn(command.args(AS_PIPE));
    peer.write("hello\n");
    peer.wait_for("hello");
    peer.kill();
    is_truncated(server.finish_one().end);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let (cut, wait) = mpsc::channel::<()>();
    let server = serve(api, case.server(), 1, move |connection| {
        connection.write_all(b"not all\n").expect("s_client reads");
        connection.flush().expect("s_client reads");
        // The connection is dropped, not closed, once s_client has the first line.
        wait.recv().expect("the test says when");
    });
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let peer = Peer::spawn(command.arg("-quiet"));
    peer.wait_for("not all");
    cut.send(()).expect("the server waits");
    server.finish_one();
    peer.wait_for("unexpected eof");
}

cases!(sees_our_close_notify: all);
fn sees_our_close_notify(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, |connection| {
        connection.write_all(b"all\n").expect("s_client reads");
        connection.close().expect("s_client reads");
        // s_client answers with a close_notify of its own.
        connection.read(&mut [0]).expect("close_notify")
    });
    let mut command = peers::openssl_client(&case.certificates, server.address);
    let finished = Peer::spawn(command.args(["-quiet"])).finish().successful();
    assert_eq!(finished.text(), "all\n");
    assert!(
        !finished.stderr.contains("unexpected eof"),
        "{}",
        finished.stderr
    );
    assert_eq!(server.finish_one(), 0);
}
