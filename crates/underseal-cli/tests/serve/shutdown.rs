//! Signals that end the server.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;
use underseal_testkit::PATIENCE;

use crate::client::Client;
use crate::harness::Server;

const LENGTH: usize = 64 << 20;

fn downloading(server: &Server) -> Client {
    server.write_sparse("f", LENGTH as u64);
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.head().status, 200);
    client
}

/// Waits until the last of the workers has closed its listener.
fn expect_refused(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(server.address).is_ok() {
        assert!(Instant::now() < deadline, "still accepting");
    }
}

#[test]
fn downloads_finish_and_idle_connections_are_closed() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start();
        let mut idle = server.client();
        idle.get("/none");
        assert_eq!(idle.response().status, 404);
        let mut busy = downloading(&server);
        server.signal(signal);
        idle.expect_close();
        expect_refused(&server);

        let mut body = vec![1; LENGTH];
        busy.read_body(&mut body);
        assert!(body.iter().all(|&byte| byte == 0));
        busy.expect_close();
        let finished = server.running.peer.finish().successful();
        assert!(
            finished.text().contains("\"path\":\"/f\""),
            "logged at the end"
        );
    }
}

#[test]
fn a_request_that_has_begun_is_answered_and_told_to_close() {
    // With one worker, and the answer to the other connection as a sign, the piece has been read.
    let server = Server::with(&["--workers", "1"]);
    server.write("f", "content");
    let mut idle = server.client();
    let mut begun = server.client();
    begun.send("GET /f HTTP/1.1\r\nHost: h\r\n");
    idle.get("/f");
    assert_eq!(idle.response().status, 200);
    server.signal(Signal::TERM);
    idle.expect_close();
    begun.send("\r\n");
    let response = begun.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    begun.expect_close();
    let _ = server.running.peer.finish().successful();
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Server::start();
    let mut busy = downloading(&server);
    server.signal(Signal::TERM);
    server.peer.wait_for("shutting down");
    server.signal(Signal::TERM);
    let finished = server.running.peer.finish().successful();
    assert!(
        finished.text().contains("cut short: server ended"),
        "{}",
        finished.text()
    );
    let (_, ended) = busy.rest();
    assert!(ended.is_err(), "no close_notify after a part");
}

#[test]
fn grace_bounds_the_wait() {
    let server = Server::with(&["--grace", "0.2"]);
    let _busy = downloading(&server);
    server.signal(Signal::TERM);
    let finished = server.running.peer.finish().successful();
    assert!(
        finished.stderr.contains("time is up"),
        "{}",
        finished.stderr
    );
}
