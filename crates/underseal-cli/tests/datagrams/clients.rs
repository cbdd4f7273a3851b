//! DTLS in front of a UDP service.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use underseal_testkit::{
    CLIENT_ID, Certificates, KeyType, PATIENCE, Peer, free_port, peers, require_program,
};

use crate::running::underseal;
use crate::{Echo, dropped, exchange, exchange_plain, gnutls_cli, plain_client, s_client, start};

#[test]
fn clients_reach_a_udp_service_each_by_a_socket_of_its_own() {
    let service = Echo::new();
    let proxy = start(service.address)
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let (mut one, mut two) = (s_client(&proxy), gnutls_cli(&proxy));
    exchange(&mut one, "from openssl");
    exchange(&mut two, "from gnutls");
    exchange(&mut one, "and once more");
    assert_eq!(service.clients(), 2);
    one.close_stdin();
    let line = proxy.logged(|line| line["bytes_in"] == 27);
    assert_eq!(line["protocol"], "dtls");
    assert_eq!(line["bytes_out"], 27);
    assert_eq!(
        (&line["tls"], &line["verdict"]),
        (&"DTLSv1_2".into(), &"allow".into())
    );
    assert!(line["error"].is_null(), "{line}");
    one.finish().successful();
    let metrics = proxy.admin("/metrics");
    for expected in [
        "underseal_handshakes_total{side=\"client\",result=\"complete\"} 2",
        "underseal_connections{side=\"client\"} 1",
        "underseal_bytes_total{side=\"client\",direction=\"rx\"} 27",
    ] {
        assert!(metrics.contains(expected), "{expected} in {metrics}");
    }
    crate::metrics_page::check(&metrics, "dtls");
}

#[test]
fn conns_shows_an_association() {
    let proxy = start(Echo::new().address).start();
    let mut client = s_client(&proxy);
    exchange(&mut client, "hello");
    let listed = underseal()
        .args(["conns", "--json"])
        .output()
        .expect("it runs");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let local = format!("\"local\":\"{}\"", proxy.address);
    let line = listed.lines().find(|line| line.contains(&local));
    let line = line.unwrap_or_else(|| panic!("{local} in {listed}"));
    for expected in ["\"tls\":\"DTLSv1_2\"", "\"rx_bytes\":6", "\"tx_bytes\":6"] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[test]
fn a_coap_client_reads_from_a_coap_server_that_has_no_dtls() {
    let port = free_port();
    let mut server = Command::new(require_program("coap-server-notls"));
    let server = Peer::spawn(server.args(["-A", "127.0.0.1", "-p", &port.to_string()]));
    let proxy = start(format!("127.0.0.1:{port}")).start();
    let mut client = Command::new(require_program("coap-client-openssl"));
    client.arg("-C").arg(proxy.certificates.ca_file());
    client.args(["-B", "10", "-m", "get"]);
    client.arg(format!("coaps://{}/.well-known/core", proxy.address));
    let client = Peer::spawn(&mut client);
    client.wait_for("</time>");
    drop(server);
}

#[test]
fn a_client_that_policies_do_not_know_reaches_nobody() {
    let spec =
        format!("{{ rules: [{{ from: [{{ source: {{ principals: ['{CLIENT_ID}'] }} }}] }}] }}");
    let service = Echo::new();
    let proxy = start(service.address)
        .mutual()
        .with(&["--client-auth", "optional"])
        .policy(&spec)
        .start();
    let mut stranger = s_client(&proxy);
    stranger.write("let me in\n");
    let line = proxy.logged(|line| line["verdict"] == "deny");
    assert_eq!(line["attribute"], "source.principals");
    assert_eq!(service.clients(), 0);
    stranger.finish();

    let mut command = peers::openssl_client(&proxy.certificates, proxy.address);
    command.args(["-dtls1_2", "-quiet", "-no_ign_eof"]);
    command
        .arg("-cert")
        .arg(proxy.certificates.client_cert_file());
    command
        .arg("-key")
        .arg(proxy.certificates.client_key_file());
    let mut known = Peer::spawn(&mut command);
    exchange(&mut known, "I am known");
    known.close_stdin();
    let line = proxy.logged(|line| line["verdict"] == "allow");
    assert_eq!(line["principal"], CLIENT_ID);
}

#[test]
fn policies_tell_datagrams_from_streams() {
    let service = Echo::new();
    let start = |transport| {
        let key = format!("key: connection.transport, values: [{transport}]");
        start(service.address).policy(&format!("{{ rules: [{{ when: [{{ {key} }}] }}] }}"))
    };
    let refusing = start("tcp").start();
    let mut stranger = s_client(&refusing);
    stranger.write("let me in\n");
    let line = refusing.logged(|line| line["verdict"] == "deny");
    assert_eq!(line["attribute"], "connection.transport");
    let refusing = start("tcp").plain().start();
    plain_client(&refusing).send(b"let me in").expect("send");
    let line = refusing.logged(|line| line["verdict"] == "deny");
    assert_eq!(line["attribute"], "connection.transport");
    assert_eq!(service.clients(), 0);
    exchange(&mut s_client(&start("udp").start()), "sealed");
    exchange_plain(&plain_client(&start("udp").plain().start()), "plain");
}

/// A resumed association would have no server name, which policies may ask for.
#[test]
fn a_client_gets_no_session_that_it_could_resume() {
    let proxy = start(Echo::new().address).start();
    let session = proxy.certificates.directory().join("session.pem");
    let mut command = peers::openssl_client(&proxy.certificates, proxy.address);
    command.args(["-dtls1_2", "-quiet", "-no_ign_eof", "-sess_out"]);
    let mut client = Peer::spawn(command.arg(&session));
    exchange(&mut client, "hello");
    client.close_stdin();
    client.finish().successful();
    assert!(!session.exists());
}

#[test]
fn datagrams_of_nobody_are_counted_by_their_reason() {
    let proxy = start(Echo::new().address)
        .with(&["--admin", "127.0.0.1:0", "--workers", "1"])
        .start();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("bind");
    stranger.send_to(b"short", proxy.address).expect("send");
    stranger.send_to(&[23; 100], proxy.address).expect("send");
    for reason in ["no_header", "address"] {
        dropped(&proxy, reason, 1);
    }
}

#[test]
fn a_certificate_that_is_loaded_again_is_shown_to_the_next_client() {
    let proxy = start(Echo::new().address).start();
    let mut first = s_client(&proxy);
    exchange(&mut first, "before");
    let other = Certificates::new(KeyType::Ecdsa);
    for (from, to) in [
        (
            other.server_cert_file(),
            proxy.certificates.server_cert_file(),
        ),
        (
            other.server_key_file(),
            proxy.certificates.server_key_file(),
        ),
    ] {
        std::fs::copy(from, to).expect("copy");
    }
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("certificate of DTLS loaded again");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut command = peers::openssl_client(&other, proxy.address);
        command.args(["-dtls1_2", "-quiet", "-no_ign_eof"]);
        let ended = command.stdin(Stdio::null()).output().expect("it runs");
        if ended.status.success() {
            break;
        }
        assert!(Instant::now() < deadline, "{ended:?}");
    }
    exchange(&mut first, "goes on");
}
