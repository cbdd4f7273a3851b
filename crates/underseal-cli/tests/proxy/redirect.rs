//! Plain HTTP that is led to TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::backend::Backend;
use crate::client::tcp;
use crate::harness::{Proxy, Start};

fn leading(options: &[&str]) -> Proxy {
    Start::new(Backend::echo().address)
        .with(&["--redirect-http", "127.0.0.1:0"])
        .with(options)
        .start()
}

/// Where plain HTTP comes in.
pub(crate) fn plain(peer: &underseal_testkit::Peer) -> SocketAddr {
    let line = peer.wait_for("redirect     http://");
    let address = line.trim().strip_prefix("redirect     http://");
    let address = address.expect("an address").trim_end_matches('/');
    address.parse().expect("an address")
}

pub(crate) fn ask(address: SocketAddr, request: &str) -> String {
    let mut tcp = tcp(address);
    tcp.write_all(request.as_bytes()).expect("send");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn every_request_is_led_to_its_own_place_and_logged() {
    let proxy = leading(&[]);
    let port = proxy.address.port();
    let from = plain(&proxy.peer);
    let answer = ask(
        from,
        "PUT /a//b?c HTTP/1.1\r\nHost: A.test:80\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(
        answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\nDate: "),
        "{answer}"
    );
    let location = format!("\r\nLocation: https://a.test:{port}/a//b?c\r\n");
    assert!(answer.contains(&location), "{answer}");
    let line = proxy.logged_path("/a//b?c");
    assert_eq!(
        (&line["status"], &line["method"]),
        (&308.into(), &"PUT".into())
    );
    assert_eq!(
        (&line["host"], &line["protocol"]),
        (&"A.test:80".into(), &"http/1.1".into())
    );
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    assert_eq!(line["bytes_out"], body.len());
    assert!(
        line["verdict"].is_null() && line["backend"].is_null(),
        "{line}"
    );

    let old = ask(from, "HEAD /old HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(
        old.starts_with("HTTP/1.1 301 ") && old.ends_with("\r\n\r\n"),
        "{old}"
    );
    assert_eq!(proxy.logged_path("/old")["protocol"], "http/1.0");
    let bad = ask(from, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
    assert_eq!(
        proxy.logged(|line| line["status"] == 400)["error"],
        "several-hosts"
    );
}

#[test]
fn it_waits_for_no_slow_client_and_for_no_more_than_may_be() {
    let proxy = leading(&[
        "--header-timeout",
        "0.5",
        "--max-connections",
        "2",
        "--workers",
        "1",
    ]);
    let from = plain(&proxy.peer);
    let mut slow: Vec<TcpStream> = (0..2).map(|_| tcp(from)).collect();
    slow[0]
        .write_all(b"GET /slow HTTP/1.1\r\nHo")
        .expect("send");
    // Once they have gone, the next one is served.
    let answer = ask(from, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let mut said = String::new();
    slow[0].read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert_eq!(proxy.logged_path("/slow")["error"], "client-timeout");
    said.clear();
    slow[1].read_to_string(&mut said).expect("an end");
    assert_eq!(said, "");
}

#[test]
fn a_request_that_is_not_all_there_is_logged_too() {
    let proxy = leading(&[]);
    let from = plain(&proxy.peer);
    let mut cut = tcp(from);
    cut.write_all(b"GET /cut HTTP/1.1\r\nHo").expect("send");
    cut.shutdown(std::net::Shutdown::Write).expect("an end");
    let line = proxy.logged_path("/cut");
    assert_eq!(line["error"], "client-cut", "{line}");
    assert!(line["status"].is_null(), "{line}");
}

#[test]
fn a_load_balancer_speaks_for_its_clients_here_too() {
    let proxy = leading(&["--accept-proxy"]);
    let from = plain(&proxy.peer);
    let said = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 80\r\n";
    let answer = ask(
        from,
        &format!("{said}GET /told HTTP/1.1\r\nHost: a\r\n\r\n"),
    );
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert_eq!(proxy.logged_path("/told")["remote"], "192.0.2.1:56324");
    // Who does not say whom it speaks for gets nothing.
    let mut untold = tcp(from);
    let request = b"GET /untold HTTP/1.1\r\nHost: a\r\n\r\n";
    untold.write_all(request).expect("send");
    let mut came = Vec::new();
    let _ = untold.read_to_end(&mut came);
    assert!(came.is_empty(), "{came:?}");
}

#[test]
fn it_ends_with_the_proxy() {
    let proxy = leading(&[]);
    let from = plain(&proxy.peer);
    proxy.signal(Signal::TERM);
    proxy.peer.wait_for("shutting down");
    let deadline = std::time::Instant::now() + underseal_testkit::PATIENCE;
    while TcpStream::connect(from).is_ok() {
        assert!(std::time::Instant::now() < deadline, "it still listens");
    }
}

#[test]
fn there_has_to_be_tls_to_lead_to() {
    for start in [
        Start::new("127.0.0.1:9").plain(),
        Start::new("127.0.0.1:9").with(&["--protocol", "tcp"]),
    ] {
        let (said, code) = start.with(&["--redirect-http", "127.0.0.1:0"]).refused();
        assert_eq!(code, Some(2), "{said}");
    }
}
