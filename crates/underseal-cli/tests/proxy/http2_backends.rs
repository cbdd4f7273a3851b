//! Backends of HTTP/2 that do not do what they should.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::runtime;
use underseal_testkit::PATIENCE;

use crate::harness::Start;
use crate::judged::Version;

/// A server of HTTP/2 that does `each` with every stream.
pub(crate) fn http2_server<F, R>(each: F) -> SocketAddr
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                let each = each.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(each(request, respond));
                    }
                });
            }
        });
    });
    address
}

/// A server of HTTP/2 that neither answers nor makes room, and tells how each stream ended.
fn deaf_backend() -> (SocketAddr, Receiver<Option<Reason>>) {
    let (tell, told) = channel();
    let address = http2_server(move |request, respond| {
        let tell = tell.clone();
        async move {
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
        }
    });
    (address, told)
}

/// A server of HTTP/2 that answers nothing, and tells with what each stream was reset.
pub(crate) fn silent() -> (SocketAddr, Receiver<Reason>) {
    let (tell, told) = channel();
    let address = http2_server(move |_, mut respond| {
        let tell = tell.clone();
        async move {
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            // The test may be over.
            let _ = tell.send(reset.expect("a reset"));
        }
    });
    (address, told)
}

/// A server of HTTP/2 that answers without waiting for the request's body, which it reads on; `/slow`
/// it answers late.
pub(crate) fn early() -> SocketAddr {
    http2_server(|request, mut respond| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        }
        let answer = http::Response::new(());
        // The proxy may have gone.
        let _ = respond.send_response(answer, true);
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
        }
    })
}

/// A server of HTTP/2 that answers everything.
pub(crate) fn good_backend() -> SocketAddr {
    http2_server(|_, mut respond| async move {
        let answer = http::Response::new(());
        respond.send_response(answer, true).expect("an answer");
    })
}

#[test]
fn a_backend_that_is_silent_costs_no_request_where_there_is_another() {
    // The kernel accepts for it, and nobody says anything of TLS.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let proxy = Start::new(format!("tls:127.0.0.1:{port}"))
        .with(&["--to", &good_backend().to_string()])
        .with(&["--to-protocol", "h2", "--connect-timeout", "1"])
        .start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || proxy.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        let asked = asking.into_iter().map(|asked| asked.join());
        asked.map(|status| status.expect("a status")).collect()
    });
    assert_eq!(statuses, [200; 12]);
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

#[test]
fn a_length_is_read_as_strictly_as_in_http1() {
    for length in ["", "0000000000000000000"] {
        let address = http2_server(move |_, mut respond| async move {
            let answer = http::Response::builder().header("content-length", length);
            let answer = answer.body(()).expect("an answer");
            respond.send_response(answer, true).expect("an answer");
        });
        let proxy = Start::new(address)
            .plain()
            .with(&["--to-protocol", "h2"])
            .start();
        for client in Version::BOTH {
            assert_eq!(client.get(proxy.address, &[]), 502, "{client:?} {length:?}");
        }
        proxy.logged(|line| line["protocol"] == "http/1.1" && line["error"] == "backend-length");
        proxy.logged(|line| line["protocol"] == "h2" && line["error"] == "backend-length");
    }
}
