//! Plain HTTP that is led to TLS.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use crate::client::tcp;
use crate::harness::Server;

#[test]
fn plain_http_is_led_to_tls_and_logged() {
    let server = Server::with(&["--redirect-http", "127.0.0.1:0"]);
    let line = server.peer.wait_for("redirect     http://");
    let address = line.trim().strip_prefix("redirect     http://");
    let address = address.expect("an address").trim_end_matches('/');
    let from: SocketAddr = address.parse().expect("an address");
    let mut tcp = tcp(from);
    tcp.write_all(b"GET /f?g HTTP/1.1\r\nHost: localhost:80\r\n\r\n")
        .expect("send");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let port = server.address.port();
    let location = format!("\r\nLocation: https://localhost:{port}/f?g\r\n");
    assert!(answer.contains(&location), "{answer}");
    let line = server.logged(|line| line["path"] == "/f?g");
    assert_eq!(
        (&line["status"], &line["method"]),
        (&308.into(), &"GET".into())
    );
}
