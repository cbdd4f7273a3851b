use openssl::ssl::{SslContext, SslMethod};

use super::*;
use crate::listener::cookies;
use crate::listener::group::members;

/// A worker with cookies of its own.
async fn worker(member: Member) -> Demultiplexer {
    let socket = UdpSocket::bind("127.0.0.1:0").await;
    let socket = Arc::new(socket.expect("loopback has a free port"));
    let context = SslContext::builder(SslMethod::dtls_server()).expect("OpenSSL is there");
    let cookies = Arc::new(cookies().expect("there are random bytes"));
    let config = ListenerConfig::default();
    Demultiplexer::new(socket, context.into(), config, cookies, Some(member))
}

/// A ClientHello alone in its datagram.
fn hello(cookie: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u8::try_from(bytes.len()).expect("it is short");
    let random = [5; 32];
    let before = [&[0xfe, 0xfd][..], &random, &[0, len(cookie)]].concat();
    let body = [&before, cookie, &[0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let message = [1, 0, 0, len(&body), 0, 0, 0, 0, 0, 0, 0, len(&body)];
    let message = [&message, &body[..]].concat();
    let record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len(&message)];
    [&record, &message[..]].concat()
}

#[tokio::test]
async fn a_hello_whose_cookie_has_grown_old_on_its_way_to_a_worker_leaves_no_route() {
    let members = members(2, Box::new(|_, _| 1)).try_into();
    let [(first, _), (second, mut inbox)] =
        members.unwrap_or_else(|_| unreachable!("there are two"));
    // The second worker's cookies are others, as if time had passed.
    let (mut first, mut second) = (worker(first).await, worker(second).await);
    let from = SocketAddr::from(([127, 0, 0, 1], 9));
    let before = hello(&[]);
    let before = ClientHello::parse(&before).expect("it is one");
    let cookie = first.cookies.key.cookie(from, 0, &before);
    first.arrive(from.into(), &mut hello(&cookie), &mut []);
    let mut steered = inbox.try_recv().expect("it is handed on");
    let route = |first: &Demultiplexer| first.member.as_ref().and_then(|one| one.elsewhere(from));
    assert_eq!(route(&first), Some(1));
    second.arrive(steered.path, &mut steered.datagram, &mut []);
    assert_eq!(second.tally.read().verify_requests, 1);
    assert_eq!(route(&first), None);
}
