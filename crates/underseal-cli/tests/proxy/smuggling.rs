//! Requests that two programs may read differently reach no backend.

use std::io::{ErrorKind, Write as _};
use std::sync::mpsc::{Receiver, channel};

use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::get_head;
use crate::http2_floods::connect;
use crate::http2_frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, frame};

/// The beginning of a request in chunks.
const IN_CHUNKS: &str =
    "POST /broken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[test]
fn ambiguous_heads_are_refused_and_named_in_the_log() {
    let backend = Backend::echo();
    let start = Start::new(backend.address);
    let proxy = start.with(&["--encoded-slash", "reject"]).start();
    let cases = [
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "both-lengths",
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
            400,
            "several-lengths",
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
            400,
            "length",
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            501,
            "transfer-encoding",
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            501,
            "transfer-encoding",
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            400,
            "space-before-colon",
        ),
        (
            "GET /p HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
            400,
            "line-folding",
        ),
        ("GET /p HTTP/1.1\nHost: a\n\n", 400, "bare-line-feed"),
        (
            "GET /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            400,
            "several-hosts",
        ),
        (
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "host-disagrees",
        ),
        (
            "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "encoded-slash",
        ),
        (
            "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "encoded-control",
        ),
        ("GET  /p HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET /p HTTP/1.1\r\n\r\n", 400, "no-host"),
        ("GET /p HTTP/3.0\r\nHost: a\r\n\r\n", 505, "version"),
        (
            "GET /p HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
            400,
            "connection",
        ),
    ];
    for (head, status, _) in cases {
        let mut client = proxy.client();
        client.send(head);
        assert_eq!(client.response().status, status, "{head:?}");
        client.expect_close();
    }
    for (.., word) in cases {
        proxy.logged(|line| line["error"] == format!("refused:{word}"));
    }
    assert_eq!(backend.heads(), Vec::<String>::new());
}

#[test]
fn what_follows_a_refused_head_is_no_request() {
    let backend = Backend::echo();
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
    client.expect_close();
    assert_eq!(backend.heads(), Vec::<String>::new());
}

#[test]
fn a_body_hides_no_request() {
    let backend = Backend::echo();
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!(
        "POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ));
    assert!(client.response().text().ends_with(inner));
    assert_eq!(backend.heads().len(), 1);
}

#[test]
fn what_the_backend_did_not_take_of_a_body_is_no_request() {
    // It looks at the head alone, holds little more, and answers with something that is refused.
    let backend = Backend::with_small_buffer(|connection| {
        connection.head();
        connection.send("nonsense\r\n\r\n");
        std::thread::sleep(std::time::Duration::from_millis(300));
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5000);
    client.send(format!(
        "POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ));
    assert_eq!(client.response().status, 502);
    let _ = client.try_send("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let _ = client.rest();
    let heads = backend.heads();
    let paths = heads.iter().map(|head| head.split(' ').nth(1));
    assert!(
        paths.clone().all(|path| path != Some("/smuggled")),
        "{heads:?}"
    );
    let line = proxy.logged_path("/outer");
    assert_eq!(line["backend"], backend.address.to_string());
}

#[test]
fn a_broken_chunk_ends_the_request_and_both_connections() {
    let backend = Backend::echo();
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send(
        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabcX\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
    client.expect_close();
    let line = proxy.logged_path("/chunks");
    assert_eq!(line["error"], "refused:chunk");
    let heads = backend.heads();
    assert!(
        heads.iter().all(|head| head.starts_with("POST /chunks ")),
        "{heads:?}"
    );
}

/// Tells of its first head, and of how it ended for whoever reads to the end of the connection: in order, it
/// would be taken for whole.
fn reading_to_end() -> (Backend, Receiver<Result<Vec<u8>, ErrorKind>>) {
    let (tell, told) = channel();
    let backend = Backend::new(move |connection| {
        if let Some(head) = connection.head() {
            let _ = tell.send(Ok(head.into_bytes()));
            let _ = tell.send(connection.rest().map_err(|error| error.kind()));
        }
    });
    (backend, told)
}

#[test]
fn a_request_that_breaks_off_does_not_end_in_order_for_its_backend() {
    for (rest, status) in [("X\r\n", 400), ("", 408)] {
        let (backend, told) = reading_to_end();
        let proxy = Start::new(backend.address)
            .with(&["--send-timeout", "0.5"])
            .start();
        let mut client = proxy.client();
        client.send(IN_CHUNKS);
        // A request that is broken from the start never reaches it.
        let came = told.recv_timeout(PATIENCE).expect("a head");
        assert!(came.is_ok());
        client.send(rest);
        assert_eq!(client.response().status, status);
        let end = told.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{status}");
    }
}

#[test]
fn a_stream_that_breaks_off_does_not_end_in_order_for_a_backend_of_http1() {
    let trailers = [&[0, 9][..], b"x-real-ip", &[1], b"1"].concat();
    let cancel = 8_u32.to_be_bytes();
    for (rest, error) in [
        (
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers),
            "refused:trailers",
        ),
        (frame(RST_STREAM, 0, 1, &cancel), "client-cut"),
        (Vec::new(), "client-timeout"),
    ] {
        let (backend, told) = reading_to_end();
        let proxy = Start::new(backend.address)
            .plain()
            .with(&["--send-timeout", "0.5"])
            .start();
        let mut client = connect(&proxy);
        let head = frame(HEADERS, END_HEADERS, 1, &get_head());
        let begun = [head, frame(DATA, 0, 1, b"hello")].concat();
        client.write_all(&begun).expect("send");
        let came = told.recv_timeout(PATIENCE).expect("a head");
        assert!(came.is_ok());
        client.write_all(&rest).expect("send");
        let end = told.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{error}");
        proxy.logged(|line| line["error"] == error);
    }
}

/// The client has its status already, which no refusal can follow.
#[test]
fn what_is_refused_in_the_middle_of_its_response_is_said_and_counted_as_any_other() {
    for (rest, word) in [
        ("X\r\n", "chunk"),
        ("0\r\nX-Underseal-Principal: a\r\n\r\n", "trailers"),
    ] {
        let backend = Backend::new(|connection| {
            if connection.head().is_some() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
                let _ = connection.rest();
            }
        });
        let proxy = Start::new(backend.address)
            .with(&["--admin", "127.0.0.1:0"])
            .start();
        let mut client = proxy.client();
        client.send(IN_CHUNKS);
        assert_eq!(client.head().status, 200);
        client.send(rest);
        assert!(client.rest().1.is_err(), "an end in order");
        let line = proxy.logged_path("/broken");
        assert_eq!(line["status"], 200);
        assert_eq!(line["error"], format!("refused:{word}"));
        let metrics = proxy.admin("/metrics");
        let counted = format!("underseal_refused_requests_total{{reason=\"{word}\"}} 1\n");
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[test]
fn connect_is_refused() {
    let backend = Backend::echo();
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 405);
    client.expect_close();
    assert_eq!(backend.heads(), Vec::<String>::new());
}

#[test]
fn a_trailer_cannot_say_who_the_client_is() {
    let proxy = Proxy::start(Backend::echo().address);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nX-Underseal-Principal: spiffe://evil\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
    let line = proxy.logged(|line| line["status"] == 400);
    assert_eq!(line["error"], "refused:trailers");
}
