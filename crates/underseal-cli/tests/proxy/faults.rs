//! Backends and clients that fail in the middle of things.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use crate::backend::Backend;
use crate::client::reset;
use crate::harness::{Proxy, Start};

#[test]
fn a_backend_that_dies_within_a_body_leaves_it_visibly_cut() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npartial",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n",
    ] {
        let proxy = Proxy::start(Backend::closing_after(answer).address);
        let mut client = proxy.client();
        client.get("/cut");
        assert_eq!(client.head().status, 200);
        let (rest, ended) = client.rest();
        assert!(String::from_utf8_lossy(&rest).contains("partial"));
        let error = ended.expect_err("no close_notify");
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof,
            "{answer:?}"
        );
        let line = proxy.logged_path("/cut");
        assert_eq!(
            (&line["error"], &line["status"]),
            (&"backend-cut".into(), &200.into())
        );
    }
}

#[test]
fn a_body_that_ends_by_closing_and_is_reset_is_cut_too() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\n\r\npartial");
        std::thread::sleep(Duration::from_millis(100));
        connection.reset();
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.get("/");
    assert_eq!(client.head().status, 200);
    client.rest().1.expect_err("no close_notify");

    let plain = Start::new(backend.address).plain().start();
    let mut tcp = plain.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    tcp.read_to_end(&mut Vec::new()).expect_err("a reset");
}

#[test]
fn a_broken_chunk_of_a_backend_cuts_the_response_or_is_it() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let at_once = Backend::answering(format!("{head}3\r\nabcX\r\n0\r\n\r\n"));
    let proxy = Proxy::start(at_once.address);
    assert_eq!(proxy.status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 502);
    assert_eq!(proxy.logged_path("/")["error"], "backend-chunk");

    let later = Backend::new(move |connection| {
        connection.head();
        connection.send(head);
        std::thread::sleep(Duration::from_millis(100));
        connection.send("3\r\nabcX\r\n0\r\n\r\n");
    });
    let proxy = Proxy::start(later.address);
    let mut client = proxy.client();
    client.get("/");
    assert_eq!(client.head().status, 200);
    client.rest().1.expect_err("no close_notify");
    assert_eq!(proxy.logged_path("/")["error"], "backend-chunk");
}

#[test]
fn responses_that_can_be_read_in_two_ways_are_not_passed_on() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "backend-both-lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            "backend-several-lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
            "backend-several-lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
            "backend-length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "backend-transfer-encoding",
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "backend-transfer-encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
            "backend-malformed",
        ),
        ("nonsense\r\n\r\n", "backend-malformed"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "backend-upgrade",
        ),
    ];
    let backend = Backend::new(move |connection| {
        while let Some(head) = connection.head() {
            let case = head[5..].split(' ').next().expect("a path");
            connection.send(cases[case.parse::<usize>().expect("a number")].0);
        }
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    for (case, (answer, _)) in cases.iter().enumerate() {
        client.get(&format!("/{case}"));
        // It was not the client's fault, so its connection goes on.
        assert_eq!(client.response().status, 502, "{answer:?}");
    }
    for (case, (_, word)) in cases.iter().enumerate() {
        assert_eq!(proxy.logged_path(&format!("/{case}"))["error"], *word);
    }
}

#[test]
fn an_endless_head_of_a_backend_is_refused() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\n");
        for _ in 0..3000 {
            connection.send("X-More: 0123456789012345678901234567890123456789\r\n");
        }
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.get("/");
    assert_eq!(client.response().status, 502);
}

#[test]
fn more_than_was_announced_reaches_nobody() {
    let backend = Backend::new(|connection| {
        while connection.head().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Evil\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let proxy = Start::new(backend.address)
        .with(&["--workers", "1"])
        .start();
    let mut client = proxy.client();
    for _ in 0..3 {
        client.get("/");
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn a_backend_that_nobody_is_at_is_said_to_be_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let proxy = Proxy::start(address);
    let mut client = proxy.client();
    client.get("/gone");
    assert_eq!(client.response().status, 503);
    client.get("/gone");
    assert_eq!(client.response().status, 503);
    assert_eq!(proxy.logged_path("/gone")["error"], "backend-refused");
    // By the same word as on stderr.
    let said = format!("backend {address}: backend-refused: Connection refused");
    proxy.peer.wait_for(&said);
}

#[test]
fn a_backend_that_refuses_is_passed_over() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let good = Backend::echo();
    let proxy = Start::new(address)
        .with(&["--to", &good.address.to_string()])
        .start();
    let mut client = proxy.client();
    for _ in 0..6 {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_kept_connection_that_died_is_replaced_once() {
    let backend = Backend::new(|connection| {
        // One answer per connection, without saying so.
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            connection.head();
        }
    });
    let proxy = Start::new(backend.address)
        .with(&["--workers", "1"])
        .start();
    let mut client = proxy.client();
    for _ in 0..4 {
        client.get("/");
        assert_eq!(client.response().status, 200);
    }
    // With a body it may have been done: nobody sends it twice.
    client.send("POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().status, 502);
    let heads = backend.heads();
    assert_eq!(
        heads.iter().filter(|head| head.starts_with("POST")).count(),
        1
    );
}

#[test]
fn a_backend_that_says_nothing_times_out() {
    let backend = Backend::new(|connection| while connection.head().is_some() {});
    let proxy = Start::new(backend.address)
        .with(&["--response-timeout", "0.3"])
        .start();
    let mut client = proxy.client();
    client.get("/silent");
    assert_eq!(client.response().status, 504);
    assert_eq!(proxy.logged_path("/silent")["error"], "backend-timeout");
}

#[test]
fn a_backend_that_stalls_within_a_body_is_cut_off() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial");
        connection.head();
    });
    let proxy = Start::new(backend.address)
        .with(&["--response-timeout", "0.3"])
        .start();
    let mut client = proxy.client();
    client.get("/stall");
    assert_eq!(client.head().status, 200);
    client.rest().1.expect_err("no close_notify");
    assert_eq!(proxy.logged_path("/stall")["error"], "backend-timeout");
}

#[test]
fn a_client_that_sends_no_more_is_told_or_cut_off() {
    let proxy = Start::new(Backend::echo().address)
        .with(&["--header-timeout", "0.3", "--send-timeout", "0.3"])
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.response().status, 408);
    let mut client = proxy.client();
    client.send("POST /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.response().status, 408);
    assert_eq!(proxy.logged_path("/stalled")["error"], "client-timeout");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_holds_back_the_backend() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let piece = vec![0; 1 << 20];
        let mut sent = 0;
        while sent < 1024 && connection.try_send(&piece) {
            sent += 1;
        }
        assert!(
            sent < 512,
            "{sent} MiB were taken for a client that reads nothing"
        );
    });
    let proxy = Start::new(backend.address)
        .with(&["--send-timeout", "0.5"])
        .start();
    let mut client = proxy.client();
    client.get("/unread");
    assert_eq!(proxy.logged_path("/unread")["error"], "client-timeout");
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    let backend = Backend::new(|connection| {
        connection.head();
        assert!(connection.read(100).len() < 100);
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    drop(client);
    assert_eq!(proxy.logged_path("/left")["error"], "client-cut");
}

#[test]
fn a_backend_may_refuse_a_body_before_it_is_sent() {
    let backend = Backend::new(|connection| {
        connection.head();
        connection.send("HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.finish().expect("shut down");
        connection.read(1 << 20);
    });
    let proxy = Proxy::start(backend.address);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    let response = client.response();
    assert_eq!(response.status, 413);
    assert_eq!(response.field("connection"), Some("close"));
}

/// The rest of an upload is read and thrown away, however it comes (RFC 9112 section 9.6).
#[test]
fn a_client_whose_upload_is_answered_early_can_send_all_of_it() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let backend = Backend::closing_after(answer);
    let proxy = Proxy::start(backend.address);
    for (pieces, length, pause) in [
        (20, 1 << 20, Duration::ZERO),
        (10, 64 << 10, Duration::from_millis(300)),
    ] {
        let mut client = proxy.client();
        let whole = pieces * length;
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {whole}\r\n\r\n"
        ));
        for sent in 0..pieces {
            let piece = client.try_send(vec![b'x'; length]);
            piece.unwrap_or_else(|error| panic!("{error} after {sent} pieces of {pieces}"));
            std::thread::sleep(pause);
        }
        let response = client.response();
        assert_eq!((response.status, &*response.text()), (200, "ok"));
        assert_eq!(response.field("connection"), Some("close"));
        client.expect_close();
    }
}

/// Closing with input unread resets a connection, and what waits to be sent is lost.
#[test]
fn a_request_behind_the_last_one_does_not_cost_an_answer_that_is_read_late() {
    let length = 400 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let backend = Backend::answering([head.as_bytes(), &vec![b'x'; length]].concat());
    let late = Duration::from_millis(400);
    for is_plain in [false, true] {
        let start = Start::new(backend.address);
        let start = if is_plain { start.plain() } else { start };
        let proxy = start.start();
        let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /next";
        let rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
        let came = if is_plain {
            let mut tcp = proxy.tcp();
            tcp.write_all(last.as_bytes()).expect("send");
            std::thread::sleep(late);
            tcp.write_all(rest.as_bytes()).expect("send");
            let mut came = Vec::new();
            tcp.read_to_end(&mut came).expect("an orderly end");
            came
        } else {
            let mut client = proxy.client();
            client.send(last);
            std::thread::sleep(late);
            client.send(rest);
            let (came, end) = client.rest();
            end.expect("close_notify");
            came
        };
        assert!(came.len() > length, "{} of {length} bytes", came.len());
    }
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let proxy = Proxy::start(Backend::echo().address);
    for (request, path, protocol) in [
        (
            "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n",
            "/plain",
            "http/1.1",
        ),
        ("GET /old HTTP/1.0\r\n\r\n", "/old", "http/1.0"),
        (
            "HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n",
            "/head",
            "http/1.1",
        ),
    ] {
        let text = crate::redirect::ask(proxy.address, request);
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").expect("a whole head");
        assert_eq!(body.is_empty(), path == "/head", "{text}");
        let line = proxy.logged_path(path);
        assert_eq!(line["error"], "plain-http");
        assert_eq!(
            (&line["status"], &line["protocol"], &line["bytes_out"]),
            (&400.into(), &protocol.into(), &body.len().into())
        );
    }
}

#[test]
fn plain_http_whose_client_has_gone_is_not_said_to_be_answered() {
    let proxy = Proxy::start(Backend::echo().address);
    let mut tcp = proxy.tcp();
    proxy.while_stopped(|| {
        let address = tcp.local_addr().expect("an address");
        tcp.write_all(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        reset(tcp);
        vec![address]
    });
    let line = proxy.logged_path("/plain");
    assert!(line["status"].is_null(), "{line}");
    assert_eq!(line["bytes_out"], 0);
}

#[test]
fn while_one_request_waits_for_a_black_hole_the_others_pass_it_over() {
    let hole = underseal_testkit::BlackHole::new();
    let good = Backend::echo();
    for (backend, version) in [
        (good.address, "http1"),
        (crate::http2_backends::good_backend(), "h2"),
    ] {
        let proxy = Start::new(hole.address)
            .with(&["--to", &backend.to_string(), "--to-protocol", version])
            .with(&["--workers", "1", "--connect-timeout", "60"])
            .start();
        let mut waiting = proxy.client();
        waiting.get("/waiting");
        // Until it is plain that it waits.
        std::thread::sleep(Duration::from_secs(1));
        for _ in 0..8 {
            assert_eq!(
                proxy.status("GET /other HTTP/1.1\r\nHost: a\r\n\r\n"),
                200,
                "{version}"
            );
        }
    }
}
