//! What a backend is told, and what a client is told back.

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Proxy, Start};
use std::io::{Read as _, Write as _};

/// The head that reached the backend for the one that is sent.
fn forwarded(proxy: &Proxy, head: &str) -> String {
    let mut client = proxy.client();
    client.send(head);
    let response = client.response();
    assert_eq!(response.status, 200);
    response.text()
}

#[test]
fn the_backend_is_told_the_path_that_is_judged_and_whose_request_it_is() {
    let any = "{ rules: [{ to: [{ operation: { paths: ['*'] } }] }] }";
    let proxy = Start::new(Backend::echo().address).policy(any).start();
    let head = forwarded(
        &proxy,
        "GET /a/./b/../%63?q=%2e/.. HTTP/1.1\r\nHost: Shop.test:8443\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(
        head,
        "GET /a/c?q=%2e/.. HTTP/1.1\r\nHost: shop.test:8443\r\nAccept: */*\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    );
    let head = forwarded(
        &proxy,
        "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    assert!(
        head.starts_with("GET /x HTTP/1.1\r\nHost: a.test\r\n"),
        "{head}"
    );
    let head = forwarded(&proxy, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

#[test]
fn nobody_else_says_who_the_client_is() {
    let proxy = Proxy::start(Backend::echo().address);
    let head = forwarded(
        &proxy,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\n\
         X-Forwarded-Client-Cert: URI=spiffe://evil\r\nX-Underseal-Principal: spiffe://evil\r\n\
         Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Kept: yes\r\n\
         Connection: X-Forwarded-For\r\n\r\n",
    );
    assert_eq!(
        head,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Kept: yes\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    );
}

#[test]
fn the_backend_is_told_the_principal_that_was_proved() {
    let proxy = Start::new(Backend::echo().address).mutual().start();
    let mut client = proxy.mutual_client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response().text();
    let id = underseal_testkit::CLIENT_ID;
    assert!(
        head.contains(&format!("\r\nX-Underseal-Principal: {id}\r\n")),
        "{head}"
    );
    assert_eq!(proxy.logged_path("/")["principal"], id);
}

#[test]
fn fields_of_the_connection_end_here() {
    let proxy = Proxy::start(Backend::echo().address);
    let head = forwarded(
        &proxy,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip, trailers\r\n\
         Upgrade: h2c\r\nX-Other: 2\r\n\r\n",
    );
    assert_eq!(
        head,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Other: 2\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: https\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
    );
    let answer = "HTTP/1.1 200 Fine\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\
                  X-End: 2\r\nContent-Length: 0\r\n\r\n";
    let proxy = Proxy::start(Backend::answering(answer).address);
    let mut client = proxy.client();
    client.get("/");
    let response = client.response();
    let names: Vec<_> = response.fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["x-end", "content-length"]);
}

#[test]
fn connections_are_kept_on_both_sides() {
    let backend = Backend::echo();
    let proxy = Start::new(backend.address)
        .with(&["--workers", "1"])
        .start();
    let mut client = proxy.client();
    for _ in 0..20 {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
    let mut other = proxy.client();
    other.get("/");
    assert_eq!(other.response().status, 200);
    assert_eq!(backend.connections(), 1);
    assert_eq!(backend.heads().len(), 21);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let proxy = Proxy::start(Backend::echo().address);
    let mut client = proxy.client();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
         GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    for (path, end) in [
        ("/1", "\r\n\r\nhello"),
        ("/2", "\r\n\r\n"),
        ("/3", "\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        ("/4", "\r\n\r\n"),
    ] {
        let response = client.response();
        let text = response.text();
        assert!(text.contains(&format!(" {path} HTTP/1.1\r\n")), "{text}");
        assert!(text.ends_with(end), "{text}");
    }
    client.expect_close();
}

#[test]
fn chunks_and_trailers_pass_as_they_are() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n";
    let backend = Backend::answering(answer);
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n",
    );
    let response = client.head();
    assert_eq!(response.field("transfer-encoding"), Some("chunked"));
    let mut body = vec![0; "5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n".len()];
    client.read_body(&mut body);
    assert_eq!(
        String::from_utf8_lossy(&body),
        "5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"
    );
    client.get("/again");
    assert_eq!(client.head().status, 200);
}

/// They are for the connection on which they come (RFC 9110 section 7.6.1), whatever either end speaks.
#[test]
fn trailers_for_the_connection_do_not_pass() {
    let backend = Backend::new(|connection| {
        let (_, body) = connection.request().expect("a request");
        let body = String::from_utf8_lossy(&body).into_owned();
        connection.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n\
             0\r\nX-Down: 1\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n",
            body.len()
        ));
        connection.head();
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n\
         0\r\nConnection: close\r\nX-Up: 1\r\nKeep-Alive: timeout=5\r\n\r\n",
    );
    assert_eq!(client.head().status, 200);
    let passed = "1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n";
    let passed = format!("{:x}\r\n{passed}\r\n0\r\nX-Down: 1\r\n\r\n", passed.len());
    let mut body = vec![0; passed.len()];
    client.read_body(&mut body);
    assert_eq!(String::from_utf8_lossy(&body), passed);
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    for (request, answer, status) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            200,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
        ),
        ("GET", "HTTP/1.1 204 None\r\n\r\n", 204),
        ("GET", "HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", 204),
        (
            "GET",
            "HTTP/1.1 304 Same\r\nContent-Length: 1000\r\n\r\n",
            304,
        ),
    ] {
        let proxy = Proxy::start(Backend::answering(answer).address);
        let mut client = proxy.client();
        for _ in 0..2 {
            client.send(format!("{request} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(client.head().status, status, "{request} {answer}");
        }
    }
}

#[test]
fn a_client_that_expects_hears_from_the_backend_before_it_sends() {
    let backend = Backend::new(|connection| {
        while let Some(head) = connection.head() {
            assert!(head.contains("Expect: 100-continue\r\n"));
            connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = connection.read(5);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            connection.send(body);
        }
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    for _ in 0..2 {
        client
            .send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let hints = client.head();
        assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
        assert_eq!(client.head().status, 100);
        client.send("hello");
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn a_client_that_is_refused_before_it_sends_is_not_waited_for() {
    let backend = Backend::answering_heads("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 417);
    client.expect_close();
}

#[test]
fn an_old_client_gets_what_it_understands() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.text().as_str(), response.field("connection")),
        ("ok", Some("close"))
    );
    client.expect_close();
    let heads = backend.heads();
    // Our own version, and a connection that others may use.
    assert!(heads[0].starts_with("GET / HTTP/1.1\r\n"), "{heads:?}");
    assert!(!heads[0].contains("Connection: "), "{heads:?}");
}

#[test]
fn an_old_backend_ends_its_bodies_by_closing() {
    let backend = Backend::closing_after("HTTP/1.0 200 OK\r\n\r\nall there is");
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.get("/");
    let head = client.head();
    assert_eq!(head.field("connection"), Some("close"));
    let (rest, ended) = client.rest();
    assert_eq!(String::from_utf8_lossy(&rest), "all there is");
    ended.expect("close_notify");
}

#[test]
fn a_response_may_come_while_the_request_is_still_sent() {
    let backend = Backend::new(|connection| {
        if connection.head().is_none() {
            return;
        }
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            let line = connection.read(8);
            connection.send(line);
        }
        connection.send(connection_end());
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for _ in 0..3 {
        client.send("3\r\nabc\r\n");
        let mut echoed = [0; 8];
        client.read_body(&mut echoed);
        assert_eq!(&echoed, b"3\r\nabc\r\n");
    }
    client.send("0\r\n\r\n");
    let mut end = [0; 5];
    client.read_body(&mut end);
    assert_eq!(&end, b"0\r\n\r\n");
}

fn connection_end() -> &'static str {
    "0\r\n\r\n"
}

#[test]
fn a_large_body_passes_both_ways_at_once() {
    let backend = Backend::new(|connection| {
        while connection.head().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
            for _ in 0..32 {
                let part = connection.read(1 << 20);
                connection.send(part);
            }
        }
    });
    let proxy = Start::new(backend.address).plain().start();
    let mut up = proxy.tcp();
    let mut down = up.try_clone().expect("the same socket");
    let sender = std::thread::spawn(move || {
        up.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n")
            .expect("send");
        for part in 0..32 {
            up.write_all(&vec![part; 1 << 20]).expect("send");
        }
    });
    let mut head = [0; 1];
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        down.read_exact(&mut head).expect("a head");
        seen.push(head[0]);
    }
    for part in 0..32 {
        let mut body = vec![0; 1 << 20];
        down.read_exact(&mut body).expect("a body");
        assert!(body.iter().all(|byte| *byte == part), "part {part}");
    }
    sender.join().expect("sent");
}

#[test]
fn requests_go_to_all_backends_in_turn() {
    let backends = [Backend::echo(), Backend::echo()];
    let second = backends[1].address.to_string();
    let proxy = Start::new(backends[0].address)
        .with(&["--to", &second, "--workers", "1"])
        .start();
    let mut client = proxy.client();
    for _ in 0..10 {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
    let served = backends.each_ref().map(|backend| backend.heads().len());
    assert_eq!(served, [5, 5]);
}

#[test]
fn a_plain_client_is_forwarded_as_one() {
    let proxy = Start::new(Backend::echo().address).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("send");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("a response");
    assert!(text.contains("X-Forwarded-Proto: http\r\n"), "{text}");
    let line = proxy.logged_path("/");
    assert!(line["tls"].is_null() && line["engine"].is_null());
}

#[test]
fn a_slow_head_is_read_as_it_comes() {
    let proxy = Proxy::start(Backend::echo().address);
    let mut client: Client = proxy.client();
    for byte in b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert!(client.response().text().starts_with("GET /slow "));
}

#[test]
fn it_makes_no_difference_how_requests_are_cut_into_pieces() {
    let requests = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                    a;x=y\r\n0123456789\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n\
                    GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let proxy = Start::new(Backend::echo().address).plain().start();
    let answer = |piece: usize| {
        let mut tcp = proxy.tcp();
        tcp.set_nodelay(true).expect("an option");
        for bytes in requests.as_bytes().chunks(piece) {
            tcp.write_all(bytes).expect("send");
        }
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("responses");
        text
    };
    let whole = answer(requests.len());
    assert_eq!(whole.matches("HTTP/1.1 200 OK").count(), 4, "{whole}");
    for piece in [1, 2, 3, 7, 31, 150] {
        assert_eq!(answer(piece), whole, "in pieces of {piece}");
    }
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    let start = Start::new(Backend::echo().address).plain();
    let proxy = start.with(&["--half-close"]).start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    tcp.shutdown(std::net::Shutdown::Write).expect("shut down");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("a response");
    assert!(text.contains("GET /half HTTP/1.1"), "{text}");
}

#[test]
fn an_old_client_is_not_sent_chunks() {
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let backend = Backend::answering(answer);
    let proxy = Start::new(backend.address)
        .with(&["--workers", "1"])
        .start();
    for _ in 0..2 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status, 200);
        assert_eq!(head.field("transfer-encoding"), None);
        assert_eq!(head.field("connection"), Some("close"));
        let (body, ended) = client.rest();
        assert_eq!(String::from_utf8_lossy(&body), "abcde");
        ended.expect("close_notify");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn an_old_client_that_does_not_say_host_asks_for_where_it_connected_to() {
    let backend = Backend::echo();
    for version in crate::judged::Version::BOTH {
        let to = match version {
            crate::judged::Version::Http1 => backend.address,
            crate::judged::Version::Http2 => crate::http2::h2_backend(),
        };
        let proxy = Start::new(to)
            .plain()
            .with(version.options())
            .policy("{ rules: [{ to: [{ operation: { hosts: ['127.0.0.1:*'] } }] }] }")
            .start();
        let mut tcp = proxy.tcp();
        tcp.write_all(b"GET /old HTTP/1.0\r\n\r\n").expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("a response");
        assert!(text.starts_with("HTTP/1.1 200 "), "{version:?}: {text}");
        let authority = proxy.address.to_string();
        assert!(text.contains(&authority), "{version:?}: {text}");
    }
}

/// Answers requests with a body before it has that, and then reads it.
fn hasty() -> Backend {
    Backend::new(|connection| {
        while let Some(head) = connection.head() {
            if head.starts_with("POST ") {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
                connection.read(5);
                connection.send("k");
            } else {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    })
}

/// Whoever answers a request before it has come may not read its body as one: it is asked nothing more on
/// that connection.
#[test]
fn a_backend_that_answers_early_is_asked_again_on_another_connection() {
    let backend = hasty();
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--workers", "1"])
        .start();
    let mut tcp = proxy.tcp();
    tcp.write_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .expect("send");
    let mut text = String::new();
    while !text.ends_with("\r\n\r\no") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).expect("a response");
        text.push(char::from(byte[0]));
    }
    tcp.write_all(b"GET /").expect("send");
    tcp.read_exact(&mut [0]).expect("the rest");
    assert_eq!(crate::tls::plain_get(&mut tcp, "/next"), 200);
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_backend_that_answers_a_client_of_http2_early_is_asked_again_on_another_connection() {
    let backend = hasty();
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--workers", "1"])
        .start();
    crate::http2::runtime().block_on(async {
        let tcp = tokio::net::TcpStream::connect(proxy.address).await;
        let (sender, connection) = h2::client::handshake(tcp.expect("connect"))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let ask = |method: &str| {
            let request = http::Request::builder().method(method).uri("http://a/");
            request
                .header("content-length", 5)
                .body(())
                .expect("a request")
        };
        let (response, mut sink) = sender.send_request(ask("POST"), false).expect("send");
        let mut body = response.await.expect("a head").into_body();
        sink.send_data("GET /".into(), true).expect("send");
        while let Some(data) = body.data().await {
            data.expect("the rest");
        }
        let mut sender = sender.ready().await.expect("ready");
        let next = http::Request::get("http://a/next").body(());
        let (next, _) = sender
            .send_request(next.expect("a request"), true)
            .expect("send");
        assert_eq!(next.await.expect("a head").status(), 200);
    });
    assert_eq!(backend.connections(), 2);
}
