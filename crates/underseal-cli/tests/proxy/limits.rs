//! Bounds, and the end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::backend::Backend;
use crate::harness::Start;

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let proxy = Start::new(Backend::echo().address)
        .plain()
        .with(&["--max-connections", "2"])
        .start();
    let mut held: Vec<TcpStream> = (0..2).map(|_| proxy.tcp()).collect();
    for tcp in &mut held {
        assert_eq!(crate::tls::plain_get(tcp, "/held"), 200);
    }
    let mut waiting = proxy.tcp();
    waiting
        .write_all(b"GET /waiting HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("send");
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    let mut byte = [0];
    waiting.read_exact(&mut byte).expect_err("no answer yet");
    drop(held.pop());
    waiting
        .set_read_timeout(Some(underseal_testkit::PATIENCE))
        .expect("a timeout");
    let mut text = String::new();
    waiting.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

#[test]
fn a_running_request_is_finished_and_an_idle_connection_closed() {
    let backend = Backend::new(|connection| {
        while let Some(head) = connection.head() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl");
            if head.contains("/slow") {
                sleep(Duration::from_millis(500));
            }
            connection.send("ow");
        }
    });
    let proxy = Start::new(backend.address).start();
    let mut idle = proxy.client();
    idle.get("/");
    assert_eq!(idle.response().status, 200);
    let mut running = proxy.client();
    running.get("/slow");
    assert_eq!(running.head().status, 200);
    proxy.signal(Signal::TERM);
    idle.expect_close();
    let mut body = [0; 4];
    running.read_body(&mut body);
    assert_eq!(&body, b"slow");
    running.expect_close();
    let address = proxy.address;
    let finished = proxy.running.peer.finish();
    assert!(finished.successful().text().contains("/slow"));
    TcpStream::connect(address).expect_err("nobody listens");
}

#[test]
fn a_second_signal_cuts_what_is_left() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial");
        connection.head();
    });
    let proxy = Start::new(backend.address).start();
    let mut client = proxy.client();
    client.get("/");
    assert_eq!(client.head().status, 200);
    proxy.signal(Signal::TERM);
    proxy.peer.wait_for("shutting down");
    proxy.signal(Signal::TERM);
    client.rest().1.expect_err("no close_notify");
    proxy.running.peer.finish();
}

#[test]
fn the_admin_port_tells_what_happened() {
    let proxy = Start::new(Backend::echo().address)
        .with(&["--admin", "127.0.0.1:0"])
        .policy("{ rules: [{ to: [{ operation: { methods: [GET] } }] }] }")
        .start();
    let mut client = proxy.client();
    client.get("/");
    assert_eq!(client.response().status, 200);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert_eq!(proxy.status("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    fs_write_broken(&proxy);
    // The connection of the refused request may take its time to end.
    let metrics = (0..500)
        .map(|_| {
            sleep(Duration::from_millis(10));
            proxy.admin("/metrics")
        })
        .find(|metrics| metrics.contains("underseal_connections{side=\"client\"} 1\n"))
        .expect("one connection is left");
    for series in [
        "underseal_requests_total{protocol=\"http1\",code=\"200\"} 1",
        "underseal_requests_total{protocol=\"http1\",code=\"403\"} 1",
        "underseal_policy_decisions_total{verdict=\"allow\",policy=\"orders\",rule=\"0\",action=\"ALLOW\"} 1",
        "underseal_policy_decisions_total{verdict=\"deny\",policy=\"\",rule=\"\",action=\"\"} 1",
        "underseal_refused_requests_total{reason=\"encoded-control\"} 1",
        "underseal_handshakes_total{side=\"client\",result=\"complete\"} 2",
        "underseal_reloads_total{what=\"policy\",result=\"failed\"} 1",
    ] {
        assert!(
            metrics.contains(&format!("{series}\n")),
            "{series} is not in {metrics}"
        );
    }
    crate::metrics_page::check(&metrics, "http");
    assert!(proxy.admin("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(proxy.admin("/readyz").starts_with("HTTP/1.1 200 "));
}

fn fs_write_broken(proxy: &crate::harness::Proxy) {
    std::fs::write(proxy.policy_file(), "nonsense").expect("write");
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("the old policy stays");
}

#[test]
fn a_proxy_that_is_ending_is_alive_and_not_ready() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial");
        connection.head();
    });
    let proxy = Start::new(backend.address)
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let mut running = proxy.client();
    running.get("/");
    assert_eq!(running.head().status, 200);
    proxy.signal(Signal::TERM);
    proxy.peer.wait_for("shutting down");
    assert!(proxy.admin("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(proxy.admin("/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_cannot_be_started_says_why() {
    let backend = ["--to", "127.0.0.1:9"];
    for (options, code, text) in [
        (
            &["--listen", "127.0.0.1:0", "--policy", "/nonexistent"][..],
            6,
            "cannot read policy",
        ),
        (
            &["--listen", "127.0.0.1:0", "--client-ca", "/nonexistent"],
            3,
            "cannot read CAs",
        ),
        (&["--listen", "nonsense"], 2, "expected HOST:PORT"),
        (&["--listen", "192.0.2.1:1"], 4, "cannot listen on"),
    ] {
        let state = tempfile::tempdir().expect("a directory");
        let output = crate::running::underseal()
            .env("XDG_STATE_HOME", state.path())
            .arg("proxy")
            .args(backend)
            .args(options)
            .output()
            .expect("underseal runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(text), "{said}");
    }
}

/// Descriptors are held back for what is no client: connections to services, the admin port.
#[test]
fn connections_leave_descriptors_for_others() {
    let proxy = Start::new(Backend::echo().address)
        .plain()
        .with(&["--admin", "127.0.0.1:0", "--workers", "1"])
        .files(64)
        .start();
    let mut early = proxy.tcp();
    let crowd: Vec<_> = (0..80).map(|_| proxy.tcp()).collect();
    proxy.peer.wait_for("new connections have to wait");
    assert_eq!(crate::tls::plain_get(&mut early, "/"), 200);
    assert!(proxy.admin("/healthz").starts_with("HTTP/1.1 200 "));
    drop(crowd);
}
