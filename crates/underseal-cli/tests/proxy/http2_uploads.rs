//! Bodies of requests that a backend of HTTP/2 does not take.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use h2::Reason;
use tokio::net::TcpListener;
use tokio::runtime;
use underseal_testkit::PATIENCE;

use crate::harness::Start;

/// A server of HTTP/2 that neither answers nor makes room, and tells how each stream ended.
fn deaf_backend() -> (SocketAddr, Receiver<Option<Reason>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    let (tell, told) = channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let (tcp, _) = listener.accept().await.expect("a connection");
            let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
            while let Some(Ok((request, respond))) = connection.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let reason = loop {
                        match body.data().await {
                            Some(Ok(_)) => {}
                            Some(Err(error)) => break error.reason(),
                            None => break None,
                        }
                    };
                    drop(respond);
                    // The test may be over.
                    let _ = tell.send(reason);
                });
            }
        });
    });
    (address, told)
}

#[test]
fn a_body_that_nobody_takes_keeps_no_stream_of_the_shared_connection() {
    let (address, told) = deaf_backend();
    let proxy = Start::new(address)
        .with(&["--to-protocol", "h2", "--response-timeout", "1"])
        .with(&["--send-timeout", "1"])
        .start();
    let mut client = proxy.client();
    let body = "x".repeat(300 * 1024);
    client.send(format!(
        "POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let ended = told.recv_timeout(PATIENCE).expect("the stream stays open");
    assert_eq!(ended, Some(Reason::CANCEL));
}
