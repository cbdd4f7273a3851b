//! How connections of clients end, and for how long clients are heard out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2_backends::early;
use crate::judged::Version;

/// It is not to send another request on a connection that ends.
#[test]
fn a_client_whose_upload_is_answered_early_is_told_that_its_connection_ends() {
    let http1 = Backend::answering_heads("HTTP/1.1 204 No\r\n\r\n");
    for (backend, version) in [(http1.address, Version::Http1), (early(), Version::Http2)] {
        let proxy = Start::new(backend).with(version.options()).start();
        for (sent, told) in [("", Some("close")), ("abcd", None)] {
            let mut client = proxy.client();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{sent}"
            ));
            let head = client.head();
            assert_eq!(head.field("connection"), told, "{version:?} {sent}");
            if told.is_some() {
                client.expect_close();
            }
        }
    }
}

/// How much a client sends on a connection that has ended for the proxy, until that takes no more.
fn sends_on(mut tcp: TcpStream) -> usize {
    let piece = [b'x'; 64 << 10];
    let mut sent = 0;
    while tcp.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    sent
}

/// More than is heard out of a client that is not in the middle of a request, and than sockets hold.
const MUCH: usize = 64 << 20;

#[test]
fn a_client_that_is_not_in_the_middle_of_a_request_is_not_heard_out_for_long() {
    let denying = "{ action: DENY, rules: [{}] }";
    let backend = Backend::echo().address;
    let idle = Start::new(backend).plain().with(&["--idle-timeout", "0.3"]);
    let denied = Start::new(backend)
        .plain()
        .with(&["--protocol", "tcp"])
        .policy(denying);
    let asked = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (start, request) in [(idle, asked), (denied, "")] {
        let proxy = start.start();
        let mut tcp = proxy.tcp();
        tcp.write_all(request.as_bytes()).expect("send");
        tcp.read_to_end(&mut Vec::new()).expect("an orderly end");
        let sent = sends_on(tcp);
        assert!(sent < MUCH, "{sent} bytes behind {request:?}");
    }
}
