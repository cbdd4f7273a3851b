//! TLS towards backends, and certificates of clients.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConnection, StreamOwned};
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::client::Client;
use crate::harness::Start;

/// A TLS server that answers each request with its head, and tells in a field who the client is.
pub(crate) fn tls_backend(certificates: &Certificates) -> SocketAddr {
    serve_tls(certificates.server_config(Suite::Tls13Aes128))
}

pub(crate) fn serve_tls(config: rustls::ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Arc::new(config);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer(config, tcp.expect("a connection")));
        }
    });
    address
}

/// Serves one connection.
pub(crate) fn answer(config: Arc<rustls::ServerConfig>, tcp: TcpStream) {
    let connection = ServerConnection::new(config).expect("a server");
    let mut stream = BufReader::new(StreamOwned::new(connection, tcp));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head) {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let tls = &stream.get_ref().conn;
        let certificates = tls.peer_certificates().map_or(0, <[_]>::len);
        let name = tls.server_name().unwrap_or("none").to_owned();
        let response = format!(
            "HTTP/1.1 200 OK\r\nX-Certificates: {certificates}\r\nX-Name: {name}\r\n\
             Content-Length: {}\r\n\r\n{head}",
            head.len()
        );
        let sent = stream.get_mut().write_all(response.as_bytes());
        if sent.and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

/// Asks for `path` and gives the status.
pub(crate) fn plain_get(tcp: &mut TcpStream, path: &str) -> u16 {
    plain_response(tcp, path).0
}

fn plain_response(tcp: &mut TcpStream, path: &str) -> (u16, String) {
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a head");
        text.push(char::from(byte[0]));
    }
    let lower = text.to_ascii_lowercase();
    let (_, rest) = lower.split_once("content-length: ").expect("a length");
    let length = rest.split("\r\n").next().expect("a line");
    let mut body = vec![0; length.parse().expect("a length")];
    tcp.read_exact(&mut body).expect("a body");
    let status = text.split(' ').nth(1).expect("a status");
    (status.parse().expect("a status"), text)
}

/// A plain listener in front of a TLS backend with these certificates.
fn originating(backend: &Certificates, options: &[&str]) -> (Start, String) {
    let address = tls_backend(backend);
    let to = format!("tls:localhost:{}", address.port());
    let start = Start::new(&to).plain().with(options);
    (start, backend.ca_file().display().to_string())
}

#[test]
fn a_plain_client_reaches_a_backend_with_tls() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (start, ca) = originating(&certificates, &[]);
    let proxy = start.with(&["--to-ca", &ca]).start();
    let mut tcp = proxy.tcp();
    for _ in 0..3 {
        let (status, head) = plain_response(&mut tcp, "/");
        assert_eq!(status, 200);
        assert!(head.contains("X-Name: localhost\r\n"), "{head}");
        assert!(head.contains("X-Certificates: 0\r\n"), "{head}");
    }
}

#[test]
fn a_backend_that_proves_nothing_gets_no_request() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let other = Certificates::new(KeyType::Ecdsa);
    let (start, ca) = originating(&certificates, &[]);
    let wrong_ca = other.ca_file().display().to_string();
    let proxy = start.with(&["--to-ca", &wrong_ca]).start();
    assert_eq!(plain_get(&mut proxy.tcp(), "/"), 502);
    assert_eq!(proxy.logged_path("/")["error"], "backend-handshake");
    let (start, _) = originating(&certificates, &["--to-name", "other.test"]);
    let proxy = start.with(&["--to-ca", &ca]).start();
    assert_eq!(plain_get(&mut proxy.tcp(), "/"), 502);
}

#[test]
fn a_backend_that_asks_is_shown_our_certificate() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let address = serve_tls(certificates.mutual_server_config(Suite::Tls13Aes128));
    let ca = certificates.ca_file().display().to_string();
    let cert = certificates.client_cert_file().display().to_string();
    let key = certificates.client_key_file().display().to_string();
    let to = format!("tls:localhost:{}", address.port());
    let proxy = Start::new(&to)
        .plain()
        .with(&["--to-ca", &ca, "--cert", &cert, "--key", &key])
        .start();
    let (status, head) = plain_response(&mut proxy.tcp(), "/");
    assert_eq!(status, 200);
    assert!(head.contains("X-Certificates: 1\r\n"), "{head}");

    let without = Start::new(&to).plain().with(&["--to-ca", &ca]).start();
    let status = plain_get(&mut without.tcp(), "/");
    assert_eq!(status, 502);
}

#[test]
fn a_client_must_have_a_certificate_if_that_is_required() {
    let proxy = Start::new(crate::backend::Backend::echo().address)
        .mutual()
        .start();
    let mut known = proxy.mutual_client();
    known.get("/");
    assert_eq!(known.response().status, 200);

    let foreign = Certificates::new(KeyType::Ecdsa);
    let (chain, key) = foreign.client_identity();
    let config = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_root_certificates(proxy.certificates.roots());
    let mut stranger = Client::connect(
        proxy.address,
        config
            .clone()
            .with_client_auth_cert(chain, key)
            .expect("a certificate"),
    );
    let _ = stranger.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stranger.rest().1.expect_err("an alert");
    let mut nobody = Client::connect(proxy.address, config.with_no_client_auth());
    let _ = nobody.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    nobody.rest().1.expect_err("an alert");
}

#[test]
fn both_sides_have_tls_and_the_listing_shows_both() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let address = tls_backend(&certificates);
    let ca = certificates.ca_file().display().to_string();
    let proxy = Start::new(format!("tls:localhost:{}", address.port()))
        .with(&["--to-ca", &ca])
        .start();
    let mut client = proxy.client();
    client.get("/both");
    assert_eq!(client.response().status, 200);
    let pid = proxy.peer.id().to_string();
    let output = crate::running::underseal()
        .args(["conns", "--json", "--pid", &pid])
        .output()
        .expect("underseal runs");
    let rows = crate::running::log_lines(&output.stdout);
    let local = proxy.address.to_string();
    assert!(rows.iter().any(|row| row["local"] == local), "{rows:#?}");
    let peer = address.to_string();
    assert!(rows.iter().any(|row| row["peer"] == peer), "{rows:#?}");
    assert!(
        rows.iter().all(|row| row["command"] == "proxy"),
        "{rows:#?}"
    );
}

#[test]
fn versions_below_the_oldest_are_not_spoken() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let old = serve_tls(certificates.server_config(Suite::Tls12Aes128));
    let ca = certificates.ca_file().display().to_string();
    for (oldest, status) in [("1.2", 200), ("1.3", 502)] {
        let proxy = Start::new(format!("tls:localhost:{}", old.port()))
            .with(&["--min-tls", oldest, "--to-ca", &ca])
            .start();
        let ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(proxy.status(ask), status, "{oldest}");
        let config = proxy.certificates.client_config(Suite::Tls12Aes128);
        let name = rustls::pki_types::ServerName::try_from(underseal_testkit::SERVER_NAME);
        let mut client = rustls::ClientConnection::new(Arc::new(config), name.expect("a name"))
            .expect("a client");
        let mut tcp = proxy.tcp();
        let mut ended = Ok((0, 0));
        while client.is_handshaking() && ended.is_ok() {
            ended = client.complete_io(&mut tcp);
        }
        assert_eq!(ended.is_ok(), oldest == "1.2", "{oldest}: {ended:?}");
    }
}
