//! WebSocket and other protocols that a connection goes over to.

use std::io::Write as _;
use std::sync::{Arc, Barrier};

use serde_json::Value;

use crate::backend::Backend;
use crate::client::reset;
use crate::harness::{Start, close_notify};

/// RFC 6455 section 1.3.
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

fn switch(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nfirst")
}

fn right_switch() -> String {
    switch(&format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\n{ACCEPT}"
    ))
}

fn ask(fields: &str) -> String {
    format!("GET /chat HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn right_ask() -> String {
    let asked = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
    ask(&format!("{asked}{VERSION}{KEY}"))
}

/// Goes over to another protocol, in which it gives back what comes.
fn switching() -> Backend {
    Backend::new(|connection| {
        let Some(head) = connection.head() else {
            return;
        };
        if !head.contains("\r\nUpgrade: ") {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
            return;
        }
        connection.send(right_switch());
        loop {
            let byte = connection.read(1);
            if byte.is_empty() {
                break;
            }
            connection.send(byte);
        }
    })
}

#[test]
fn a_websocket_passes_both_ways_under_a_policy() {
    let backend = switching();
    let proxy = Start::new(backend.address)
        .policy("{ rules: [{ to: [{ operation: { paths: ['/chat'] } }] }] }")
        .start();
    let mut client = proxy.client();
    // The first message comes with the request.
    client.send(right_ask() + "early");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("upgrade")),
        (101, Some("websocket"))
    );
    assert_eq!(head.field("connection"), Some("Upgrade"));
    let mut body = [0; 10];
    client.read_body(&mut body);
    assert_eq!(&body, b"firstearly");
    client.send("later");
    client.read_body(&mut body[..5]);
    assert_eq!(&body[..5], b"later");
    close_notify(&mut client);
    client.expect_close();
    let line = proxy.logged_path("/chat");
    assert_eq!(
        (&line["status"], &line["bytes_in"]),
        (&101.into(), &10.into())
    );
    assert!(backend.heads()[0].contains("Connection: Upgrade\r\n"));
}

#[test]
fn a_denied_upgrade_is_an_answer_like_any_other() {
    let proxy = Start::new(switching().address)
        .policy("{ rules: [{ to: [{ operation: { paths: ['/other'] } }] }] }")
        .start();
    let mut client = proxy.client();
    client.send(right_ask());
    assert_eq!(client.response().status, 403);
}

/// Goes over to another protocol whatever it is asked.
fn eager(answer: String) -> Backend {
    Backend::new(move |connection| {
        if connection.head().is_some() {
            connection.send(&answer);
            connection.read(1);
        }
    })
}

#[test]
fn only_a_right_request_for_websocket_opens_a_tunnel() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let asks = [
        ask(&format!("{h2c}Upgrade: h2c\r\n")),
        ask(&format!("{h2c}Upgrade: h2c\r\n{VERSION}{KEY}")),
        ask(&format!("{upgrade}Upgrade: h2c\r\n{VERSION}{KEY}")),
        ask(&format!(
            "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{VERSION}{KEY}"
        )),
        ask(&format!(
            "Connection: Upgrade\r\nUpgrade: tls/1.0\r\n{VERSION}{KEY}"
        )),
        ask(&format!("Connection: Upgrade\r\n{VERSION}{KEY}")),
        ask(&format!("Upgrade: websocket\r\n{VERSION}{KEY}")),
        ask(&format!("{upgrade}{VERSION}")),
        ask(&format!("{upgrade}{KEY}")),
        ask(&format!("{upgrade}{VERSION}{KEY}{KEY}")),
        ask(&format!("{upgrade}{VERSION}Sec-WebSocket-Key: x\r\n")),
        ask(&format!("{upgrade}Sec-WebSocket-Version: 8\r\n{KEY}")),
        right_ask().replacen("GET", "POST", 1),
        right_ask().replacen("HTTP/1.1", "HTTP/1.0", 1),
    ];
    let policies = [None, Some("{ rules: [{}] }")];
    for policy in policies {
        let backend = eager(right_switch());
        let mut start = Start::new(backend.address);
        if let Some(policy) = policy {
            start = start.policy(policy);
        }
        let proxy = start.start();
        for ask in &asks {
            let mut client = proxy.client();
            client.send(ask);
            assert_eq!(client.head().status, 502, "{policy:?} {ask}");
        }
        for head in backend.heads() {
            let lower = head.to_ascii_lowercase();
            assert!(!lower.contains("\r\nupgrade:"), "{head}");
            assert!(!lower.contains("settings"), "{head}");
        }
    }
}

#[test]
fn only_a_right_switch_opens_a_tunnel() {
    let accepted = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{ACCEPT}");
    for answer in [
        switch(&accepted.replace("xOo", "xOO")),
        switch(&accepted.replace(ACCEPT, "")),
        switch(&format!("{accepted}{ACCEPT}")),
        switch(&accepted.replace("websocket", "h2c")),
        switch(&accepted.replace("Upgrade: websocket\r\n", "")),
        switch(&accepted.replace("Connection: Upgrade\r\n", "")),
    ] {
        let proxy = Start::new(eager(answer.clone()).address).start();
        let mut client = proxy.client();
        client.send(right_ask());
        assert_eq!(client.head().status, 502, "{answer}");
        assert_eq!(proxy.logged_path("/chat")["error"], "backend-upgrade");
    }
}

#[test]
fn an_upgrade_that_the_backend_declines_is_a_plain_response() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Start::new(backend.address).start();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(right_ask());
        assert_eq!(client.response().text(), "ok");
    }
}

#[test]
fn a_switch_that_the_client_did_not_take_has_no_status() {
    let turns = Arc::new(Barrier::new(2));
    let theirs = Arc::clone(&turns);
    let backend = Backend::new(move |connection| {
        if connection.head().is_some() {
            // It is asked; nobody listens; it has answered.
            theirs.wait();
            theirs.wait();
            connection.send(right_switch());
            theirs.wait();
            connection.read(1);
        }
    });
    let proxy = Start::new(backend.address).plain().start();
    let mut client = proxy.tcp();
    client.write_all(right_ask().as_bytes()).expect("send");
    turns.wait();
    proxy.while_stopped(|| {
        turns.wait();
        turns.wait();
        let address = client.local_addr().expect("an address");
        reset(client);
        vec![address]
    });
    let line = proxy.logged_path("/chat");
    assert_eq!(line["error"], "client-cut");
    assert_eq!(line["status"], Value::Null);
}
