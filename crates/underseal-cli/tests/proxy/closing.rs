//! How connections of clients end, and for how long clients are heard out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::backend::Backend;
use crate::harness::Start;

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
