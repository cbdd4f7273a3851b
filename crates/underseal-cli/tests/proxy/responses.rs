//! Responses as they come back, whatever clients and backends speak.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::TcpStream;
use underseal_testkit::BlackHole;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::runtime;
use crate::http2_backends::http2_server;
use crate::judged::Version;

/// What a client is answered.
#[derive(Debug, Default)]
struct Answer {
    /// Statuses and Link fields of interim responses.
    interim: Vec<(u16, Option<String>)>,
    status: u16,
    body: Vec<u8>,
    trailers: HeaderMap,
}

async fn sender(address: SocketAddr) -> h2::client::SendRequest<hyper::body::Bytes> {
    let tcp = TcpStream::connect(address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender.ready().await.expect("ready")
}

/// Asks in HTTP/2 for a path.
fn ask_http2(address: SocketAddr, method: &str, path: &str) -> Result<Answer, h2::Error> {
    runtime().block_on(async {
        let mut sender = sender(address).await;
        let request = Request::builder()
            .method(method)
            .uri(format!("http://a.test{path}"));
        let request = request.body(()).expect("a request");
        let (mut response, _) = sender.send_request(request, true)?;
        let mut answer = Answer::default();
        while let Some(interim) = poll_fn(|cx| response.poll_informational(cx)).await {
            let interim = interim?;
            let link = interim.headers().get("link");
            let link = link.map(|link| link.to_str().expect("ASCII").to_owned());
            answer.interim.push((interim.status().as_u16(), link));
        }
        let (head, mut body) = response.await?.into_parts();
        answer.status = head.status.as_u16();
        while let Some(data) = body.data().await {
            answer.body.extend(data?);
        }
        answer.trailers = body.trailers().await?.unwrap_or_default();
        Ok(answer)
    })
}

/// The same in HTTP/1.1; the body is what follows the last head.
fn ask_http1(address: SocketAddr, path: &str) -> Answer {
    let mut tcp = crate::client::tcp(address);
    write!(
        tcp,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .expect("send");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("an answer");
    let mut answer = Answer::default();
    let mut rest = &*text;
    while answer.status < 200 {
        let (head, behind) = rest.split_once("\r\n\r\n").expect("a head");
        answer.status = head[9..12].parse().expect("a status");
        if answer.status < 200 {
            let link = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("link").then(|| value.to_owned())
            });
            answer.interim.push((answer.status, link));
        }
        rest = behind;
    }
    answer.body = rest.into();
    answer
}

fn ask(client: Version, address: SocketAddr, path: &str) -> Answer {
    match client {
        Version::Http1 => ask_http1(address, path),
        Version::Http2 => ask_http2(address, "GET", path).expect("an answer"),
    }
}

fn proxy(backend: SocketAddr, version: Version) -> Proxy {
    Start::new(backend)
        .plain()
        .with(&["--workers", "1"])
        .with(version.options())
        .start()
}

/// Says that a style sheet will be asked for, and then all at once what there is.
fn hinting(version: Version) -> SocketAddr {
    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Own\r\n\
                        X-Own: 1\r\n\r\n";
    const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    match version {
        Version::Http1 => Backend::answering(format!("{HINT}{HINT}{FINAL}")).address,
        Version::Http2 => http2_server(|_, mut respond| async move {
            for _ in 0..2 {
                let mut hint = Response::new(());
                *hint.status_mut() = http::StatusCode::EARLY_HINTS;
                hint.headers_mut()
                    .insert("link", HeaderValue::from_static("</a.css>"));
                respond.send_informational(hint).expect("a stream");
            }
            let mut answer = Response::new(());
            answer
                .headers_mut()
                .insert("content-length", HeaderValue::from_static("2"));
            let sink = respond.send_response(answer, false);
            let sent = sink.and_then(|mut sink| sink.send_data("ok".into(), true));
            sent.expect("a stream");
        }),
    }
}

#[test]
fn interim_responses_reach_every_client_from_every_backend() {
    for version in Version::BOTH {
        let proxy = proxy(hinting(version), version);
        for client in Version::BOTH {
            let answer = ask(client, proxy.address, "/");
            let hint = (103, Some("</a.css>".to_owned()));
            let case = format!("{client:?} to {version:?}: {answer:?}");
            assert_eq!(answer.interim, [hint.clone(), hint], "{case}");
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &b"ok"[..]),
                "{case}"
            );
        }
    }
}

/// haproxy/haproxy#2836, nginx/nginx#1427: what has no body does not say how one is framed.
#[test]
fn responses_that_never_have_a_body_say_nothing_of_its_framing() {
    const FRAMED: [&str; 2] = ["Content-Length: 2", "Transfer-Encoding: chunked"];
    for framing in FRAMED {
        let answer = format!(
            "HTTP/1.1 103 Early Hints\r\n{framing}\r\n\r\nHTTP/1.1 204 None\r\n{framing}\r\n\r\n"
        );
        let proxy = proxy(Backend::answering(answer).address, Version::Http1);
        for method in ["GET", "HEAD"] {
            let mut tcp = proxy.tcp();
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            tcp.write_all(request.as_bytes()).expect("send");
            let mut text = String::new();
            tcp.read_to_string(&mut text).expect("a response");
            let lines = text.lines().filter(|line| line.starts_with("HTTP/1.1 "));
            assert_eq!(lines.count(), 2, "{text}");
            let is_framed = FRAMED.iter().any(|framing| text.contains(framing));
            assert!(!is_framed, "{method} {framing}: {text}");
        }
    }
}

/// A response, and what the log says of it.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "backend-transfer-encoding",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\ncoded",
        "backend-transfer-encoding",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "backend-transfer-encoding",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "backend-transfer-encoding",
    ),
    (
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "backend-transfer-encoding",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "backend-several-lengths",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "backend-several-lengths",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "backend-both-lengths",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "backend-length",
    ),
    (
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        "backend-malformed",
    ),
    (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "backend-upgrade",
    ),
];

#[test]
fn responses_that_can_be_read_in_two_ways_reach_no_client() {
    let backend = Backend::new(move |connection| {
        while let Some(head) = connection.head() {
            let path = head.split(' ').nth(1).expect("a path");
            let case = path.rsplit('/').next().expect("a number");
            connection.send(AMBIGUOUS[case.parse::<usize>().expect("a number")].0);
        }
    });
    let proxy = proxy(backend.address, Version::Http1);
    let mut wrong = Vec::new();
    for client in Version::BOTH {
        for (case, (answer, word)) in AMBIGUOUS.iter().enumerate() {
            let path = format!("/{client:?}/{case}");
            let status = match client {
                Version::Http1 => ask_http1(proxy.address, &path).status,
                Version::Http2 => ask_http2(proxy.address, "GET", &path).map_or(0, |a| a.status),
            };
            let line = proxy.logged_path(&path);
            if status != 502 || line["error"] != *word {
                wrong.push(format!("{client:?}: {answer:?}: {status}, {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bodies_end_where_a_backend_of_http1_says_whoever_asks() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 7\r\nConnection: x\r\n\r\n",
            "hello",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
    ] {
        let backend = Backend::closing_after(answer);
        let proxy = proxy(backend.address, Version::Http1);
        let said = ask_http2(proxy.address, "GET", "/").expect("an answer");
        assert_eq!(said.body, body.as_bytes(), "{answer:?}");
        let is_chunked = answer.contains("chunked");
        assert_eq!(
            said.trailers.contains_key("x-sum"),
            is_chunked,
            "{answer:?}"
        );
        assert!(!said.trailers.contains_key("connection"), "{answer:?}");
    }
    let head = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let proxy = proxy(head.address, Version::Http1);
    for _ in 0..2 {
        let said = ask_http2(proxy.address, "HEAD", "/").expect("an answer");
        assert_eq!((said.status, said.body.len()), (200, 0));
    }
    assert_eq!(head.connections(), 1);
}

#[test]
fn more_than_was_announced_reaches_no_client_of_http2() {
    let backend = Backend::answering_heads(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Evil\r\nContent-Length: 4\r\n\r\nevil",
    );
    let proxy = proxy(backend.address, Version::Http1);
    for _ in 0..3 {
        assert_eq!(ask(Version::Http2, proxy.address, "/").body, b"ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn clients_of_both_versions_share_the_connections_to_a_backend() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = proxy(backend.address, Version::Http1);
    for client in [
        Version::Http1,
        Version::Http2,
        Version::Http2,
        Version::Http1,
    ] {
        assert_eq!(ask(client, proxy.address, "/").body, b"ok");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_client_of_http10_reads_a_response_of_http2_to_its_end() {
    let proxy = proxy(crate::http2::h2_backend(), Version::Http2);
    let mut tcp = proxy.tcp();
    tcp.write_all(b"POST /old HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        .expect("send");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("\r\nConnection: close"), "{head}");
    assert!(!head.contains("chunked"), "{head}");
    assert_eq!(body, "hello");
}

#[test]
fn a_client_that_waits_for_100_is_told_so_whatever_the_backend_speaks() {
    for version in Version::BOTH {
        let backend = match version {
            Version::Http1 => {
                let encouraging = Backend::new(|connection| {
                    while let Some(head) = connection.head() {
                        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
                        let body = connection.body(&head).expect("a body");
                        connection.send(format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                            body.len()
                        ));
                        connection.send(body);
                    }
                });
                encouraging.address
            }
            Version::Http2 => crate::http2::h2_backend(),
        };
        let proxy = proxy(backend, version);
        let mut tcp = proxy.tcp();
        tcp.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
            .expect("send");
        let mut told = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        tcp.read_exact(&mut told).expect("a word");
        assert_eq!(told, *b"HTTP/1.1 100 Continue\r\n\r\n", "{version:?}");
        tcp.write_all(b"hello").expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200 "), "{version:?}: {text}");
        assert!(text.contains("hello"), "{version:?}: {text}");
    }
}

#[test]
fn a_backend_that_only_says_100_is_at_fault_whatever_its_client_waits_for() {
    let answer = format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(17)
    );
    let proxy = proxy(Backend::answering(answer).address, Version::Http1);
    for minor_version in [0, 1] {
        let mut tcp = proxy.tcp();
        write!(
            tcp,
            "POST / HTTP/1.{minor_version}\r\nHost: a\r\nExpect: 100-continue\r\n\
             Connection: close\r\nContent-Length: 5\r\n\r\nhello"
        )
        .expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        assert!(text.contains("HTTP/1.1 502 "), "{minor_version}: {text}");
    }
}

#[test]
fn refused_trailers_are_the_clients_fault_whatever_the_backend_speaks() {
    for version in Version::BOTH {
        let backend = match version {
            // It says so when the body breaks off.
            Version::Http1 => {
                let blaming = Backend::new(|connection| {
                    while let Some(head) = connection.head() {
                        connection.body(&head);
                        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                    }
                });
                blaming.address
            }
            Version::Http2 => crate::http2::h2_backend(),
        };
        let proxy = Start::new(backend)
            .plain()
            .with(&["--admin", "127.0.0.1:0"])
            .with(version.options())
            .start();
        let error = runtime().block_on(async {
            let mut sender = sender(proxy.address).await;
            let request = Request::post("http://a.test/evil").header("trailer", "x-real-ip");
            let request = request.body(()).expect("a request");
            let (response, mut sink) = sender.send_request(request, false).expect("send");
            sink.send_data("hello".into(), false).expect("send");
            let mut evil = HeaderMap::new();
            evil.insert("x-real-ip", HeaderValue::from_static("192.0.2.1"));
            sink.send_trailers(evil).expect("send");
            response.await.err().and_then(|error| error.reason())
        });
        assert_eq!(error, Some(h2::Reason::PROTOCOL_ERROR), "{version:?}");
        let line = proxy.logged_path("/evil");
        assert_eq!(line["error"], "refused:trailers", "{version:?}");
        let metrics = proxy.admin("/metrics");
        let once = "underseal_refused_requests_total{reason=\"trailers\"} 1\n";
        assert!(metrics.contains(once), "{version:?}: {metrics}");
    }
}

#[test]
fn a_client_of_http2_that_resets_while_nobody_accepts_is_noticed_at_once() {
    let hole = BlackHole::new();
    for version in Version::BOTH {
        for leaves in [false, true] {
            let proxy = Start::new(hole.address)
                .plain()
                .with(&["--connect-timeout", "60"])
                .with(version.options())
                .start();
            runtime().block_on(async {
                let mut sender = sender(proxy.address).await;
                let request = Request::get("http://a.test/left").body(());
                let request = request.expect("a request");
                let (response, mut sink) = sender.send_request(request, false).expect("send");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                if !leaves {
                    sink.send_reset(h2::Reason::CANCEL);
                    let _ = response.await;
                }
            });
            let line = proxy.logged_path("/left");
            assert_eq!(line["error"], "client-cut", "{version:?} leaves: {leaves}");
        }
    }
}
