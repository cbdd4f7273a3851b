//! WebSocket and other protocols that a connection goes over to.

use crate::backend::Backend;
use crate::harness::{Start, close_notify};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: x\r\n\r\nfirst";
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";

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
        connection.send(SWITCH);
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
    client.send(format!("{ASK}early"));
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
    client.send(ASK);
    assert_eq!(client.response().status, 403);
}

#[test]
fn what_could_carry_requests_that_nobody_judges_does_not_pass_a_policy() {
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let judged = Start::new(switching().address)
        .policy("{ rules: [{}] }")
        .start();
    let mut client = judged.client();
    client.send(ask);
    assert_eq!(client.response().text(), "no");

    let backend = switching();
    let open = Start::new(backend.address).start();
    let mut client = open.client();
    client.send(ask);
    assert_eq!(client.head().status, 101);
    let heads = backend.heads();
    assert!(heads[0].contains("Upgrade: h2c\r\n"), "{heads:?}");
}

#[test]
fn an_upgrade_that_the_backend_declines_is_a_plain_response() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Start::new(backend.address).start();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(ASK);
        assert_eq!(client.response().text(), "ok");
    }
}
