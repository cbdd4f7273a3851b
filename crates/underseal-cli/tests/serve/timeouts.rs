//! Clients that are slow on purpose. No test here measures time: each waits for the server to act.

use std::io::{Read as _, Write as _};

use crate::client::tcp;
use crate::harness::Server;

#[test]
fn slow_headers_get_408() {
    let server = Server::with(&["--header-timeout", "0.5"]);
    let mut client = server.client();
    client.send("GET /f HTTP/1.1\r\nHost:");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (408, Some("close"))
    );
    client.expect_close();
    let line = server.logged(|line| line["status"] == 408);
    assert_eq!(line["error"], "client-timeout");
}

#[test]
fn a_slow_handshake_is_ended() {
    let server = Server::with(&["--header-timeout", "0.5"]);
    let mut slow = tcp(server.address);
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").expect("send");
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    server.peer.wait_for("handshake not finished: timed out");
}

#[test]
fn connections_that_say_nothing_are_closed() {
    let server = Server::with(&["--header-timeout", "0.5", "--idle-timeout", "0.5"]);
    server.write("f", "content");
    let mut silent = tcp(server.address);
    assert_eq!(silent.read(&mut [0]).expect("the end"), 0);
    // No request after the handshake, and none after the first one.
    server.client().expect_close();
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.response().text(), "content");
    client.expect_close();
}

/// It is heard out for as long as an upload only where it may be in the middle of one.
#[test]
fn a_client_that_asks_too_late_is_not_heard_out_for_long() {
    let server = Server::with(&["--idle-timeout", "0.3"]);
    let mut client = server.client();
    client.get("/none");
    assert_eq!(client.response().status, 404);
    client.expect_close();
    let piece = [b'x'; 64 << 10];
    let mut sent = 0;
    while client.try_send(piece).is_ok() {
        sent += piece.len();
    }
    // More than that, and than sockets hold.
    assert!(sent < 64 << 20, "{sent} bytes");
}

#[test]
fn a_client_that_stops_reading_is_cut() {
    let server = Server::with(&["--send-timeout", "0.5"]);
    server.write_sparse("f", 256 << 20);
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.head().status, 200);
    let line = server.logged(|line| line["path"] == "/f");
    assert_eq!(line["error"], "cut short: client stopped reading");
    let (received, ended) = client.rest();
    assert!(ended.is_err(), "no close_notify after a part");
    // What was taken is known to the byte; less than a batch of it was still on its way.
    let (sent, received) = (
        line["bytes_out"].as_u64().expect("bytes"),
        received.len() as u64,
    );
    let on_its_way = sent.checked_sub(received).expect("more came than was sent");
    assert!(on_its_way <= 512 * 1024, "{on_its_way}");
}

#[test]
fn what_a_client_took_of_a_listing_is_logged() {
    let server = Server::with(&["--send-timeout", "0.5"]);
    let long = "x".repeat(200);
    for number in 0..2000 {
        server.write(&format!("d/{long}{number}"), "");
    }
    let mut client = server.client();
    client.get("/d/");
    let whole = client.response().body.len() as u64;
    // More than any socket takes.
    client.send("GET /d/ HTTP/1.1\r\nHost: h\r\n\r\n".repeat(16));
    let line = server.logged(|line| !line["error"].is_null());
    assert_eq!(line["error"], "cut short: client stopped reading");
    assert_eq!(line["status"], 200);
    // All of it, where what is sealed and not sent yet is the rest.
    let sent = line["bytes_out"].as_u64().expect("bytes");
    assert!((1..=whole).contains(&sent), "{sent} of {whole}");
}

#[test]
fn a_body_that_does_not_come_ends_the_connection() {
    let server = Server::with(&["--header-timeout", "0.5"]);
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome");
    assert_eq!(client.response().status, 405);
    client.expect_close();
}
