//! HTTP/2 towards clients and backends.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use underseal_testkit::{Certificates, KeyType, Peer, SERVER_ID, Suite, require_program};

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Proxy, Start};
use crate::http2_frames::frame;

const READERS: &str = "
  rules: [{ to: [{ operation: { methods: [GET, POST], paths: ['/v1/*'] } }] }]";

pub(crate) fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A server of HTTP/2 that gives bodies back, and the trailers that came after them;
/// `/cut` it leaves unfinished, `/refuse` it resets.
pub(crate) fn h2_backend() -> SocketAddr {
    h2_backend_with(None)
}

/// The same over TLS.
pub(crate) fn tls_h2_backend(certificates: &Certificates) -> SocketAddr {
    let mut config = certificates.server_config(Suite::Tls13Aes128);
    config.alpn_protocols = vec![b"h2".to_vec()];
    h2_backend_with(Some(std::sync::Arc::new(config).into()))
}

/// The same, over TLS if there is an acceptor.
fn h2_backend_with(acceptor: Option<underseal::TlsAcceptor>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("an option");
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp).await,
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(tcp).await {
                                serve(tls).await;
                            }
                        }
                    }
                });
            }
        });
    });
    address
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(echo(request, respond));
    }
}

async fn echo(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<hyper::body::Bytes>,
) {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let principal = head.headers.get("x-underseal-principal").cloned();
    let mut response = Response::new(());
    let said = format!("{} {}", head.method, head.uri);
    let fields = response.headers_mut();
    fields.insert("x-asked", HeaderValue::from_str(&said).expect("a value"));
    fields.insert(
        "x-has-principal",
        HeaderValue::from(u16::from(principal.is_some())),
    );
    if path.ends_with("/refuse") {
        return respond.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let mut sink = respond.send_response(response, false).expect("a response");
    if path.ends_with("/cut") {
        sink.send_data("partial".into(), false).expect("data");
        tokio::time::sleep(Duration::from_millis(50)).await;
        return sink.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    while let Some(Ok(data)) = body.data().await {
        let len = data.len();
        sink.send_data(data, false).expect("data");
        let _ = body.flow_control().release_capacity(len);
    }
    let trailers = body.trailers().await.ok().flatten();
    let mut sent = trailers.unwrap_or_default();
    sent.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = sink.send_trailers(sent);
}

/// Sends `body` and `trailers` on one stream of a connection in plaintext; gives status, body and
/// trailers, or why there are none.
fn ask(
    address: SocketAddr,
    path: &str,
    body: &'static [u8],
    trailers: HeaderMap,
) -> Result<(u16, Vec<u8>, HeaderMap), h2::Error> {
    runtime().block_on(async {
        let tcp = TcpStream::connect(address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await?;
        tokio::spawn(connection);
        let mut sender = sender.ready().await?;
        let request = Request::post(format!("http://a.test{path}"))
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let (response, mut sink) = sender.send_request(request, false)?;
        sink.send_data(body.into(), false)?;
        sink.send_trailers(trailers)?;
        let (head, mut answer) = response.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = answer.data().await {
            let data = data?;
            answer.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        let trailers = answer.trailers().await?.unwrap_or_default();
        Ok((head.status.as_u16(), bytes, trailers))
    })
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    trailers
}

#[test]
fn curl_asks_a_backend_of_http1() {
    let proxy = Proxy::start(Backend::echo().address);
    let options = ["--http2", "-w", "%{http_version}", "-d", "hello"];
    let said = proxy.curl(&options, "/a/../b?c").successful().text();
    assert!(said.starts_with("POST /b?c HTTP/1.1\r\n"), "{said}");
    assert!(
        said.contains("\r\nX-Forwarded-For: 127.0.0.1\r\n"),
        "{said}"
    );
    assert!(said.ends_with("\r\n\r\nhello2"), "{said}");
    let line = proxy.logged_path("/b?c");
    assert_eq!(
        (&line["protocol"], &line["bytes_in"]),
        (&"h2".into(), &5.into())
    );
}

#[test]
fn large_bodies_pass_both_ways() {
    let proxy = Proxy::start(
        Backend::new(|connection| {
            while let Some((_, body)) = connection.request() {
                connection.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                ));
                connection.send(body);
            }
        })
        .address,
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    let content: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(file.path(), &content).expect("write");
    let data = format!("@{}", file.path().display());
    let back = proxy
        .curl(&["--http2", "--data-binary", &data], "/")
        .successful();
    assert!(back.stdout == content, "{} bytes", back.stdout.len());
}

#[test]
fn each_stream_is_judged() {
    let proxy = Start::new(Backend::echo().address).policy(READERS).start();
    let urls: Vec<_> = ["/v1/a", "/v2", "/v1/b", "/v1/../v2"]
        .iter()
        .map(|path| underseal_testkit::peers::url(proxy.address, path))
        .collect();
    let mut options = vec![
        "--http2",
        "--path-as-is",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} ",
    ];
    for url in &urls {
        options.extend(["-o", "/dev/null", url]);
    }
    // curl says that it failed because some were refused.
    let mut command = underseal_testkit::peers::curl(&proxy.certificates, proxy.address);
    command.arg("--no-fail").args(&options[..]);
    let said = Peer::spawn(&mut command).finish().text();
    assert_eq!(said.trim(), "200 403 200 403");
    let denied = proxy.logged_path("/v2");
    assert_eq!(
        (&denied["policy"], &denied["attribute"]),
        (&"orders".into(), &"operation.paths".into())
    );
}

#[test]
fn a_client_may_know_already_that_http2_is_spoken() {
    let proxy = Start::new(Backend::echo().address).plain().start();
    let mut command = Command::new(require_program("curl"));
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "60",
        "--noproxy",
        "*",
    ]);
    command.arg("--http2-prior-knowledge");
    command.arg(format!("http://{}/known", proxy.address));
    let said = Peer::spawn(&mut command).finish().successful().text();
    assert!(said.starts_with("GET /known HTTP/1.1\r\n"), "{said}");
}

#[test]
fn bodies_and_trailers_reach_a_backend_of_http2() {
    let proxy = Start::new(h2_backend())
        .plain()
        .with(&["--to-protocol", "h2"])
        .start();
    let (status, body, found) =
        ask(proxy.address, "/echo.Echo/Say", b"message", trailers()).expect("an answer");
    assert_eq!((status, &body[..]), (200, &b"message"[..]));
    assert_eq!(
        found.get("grpc-status").map(HeaderValue::as_bytes),
        Some(&b"0"[..])
    );
    assert_eq!(
        found.get("x-sum").map(HeaderValue::as_bytes),
        Some(&b"7"[..])
    );
}

#[test]
fn what_does_not_come_behind_a_body_stays_behind() {
    let proxy = Start::new(h2_backend())
        .plain()
        .with(&["--to-protocol", "h2"])
        .start();
    let mut sent = trailers();
    sent.insert("host", HeaderValue::from_static("evil.test"));
    sent.insert("content-length", HeaderValue::from_static("7"));
    let (status, _, found) = ask(proxy.address, "/late", b"message", sent).expect("an answer");
    assert_eq!(status, 200);
    let mut names: Vec<_> = found.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["grpc-status", "x-sum"]);
}

/// As `X-Forwarded-Proto`, whatever the client says.
#[test]
fn a_request_goes_on_under_the_scheme_that_it_came_by() {
    let proxy = Start::new(h2_backend())
        .plain()
        .with(&["--to-protocol", "h2"])
        .start();
    let asked = runtime().block_on(async {
        let tcp = TcpStream::connect(proxy.address).await.expect("connect");
        let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("https://a.test/scheme");
        let request = request.body(()).expect("a request");
        let (response, _) = sender.send_request(request, true).expect("send");
        let response = response.await.expect("a response");
        response.headers()["x-asked"].to_str().map(str::to_owned)
    });
    assert_eq!(asked.expect("ASCII"), "GET http://a.test/scheme");
}

#[test]
fn trailers_that_say_who_the_client_is_end_the_stream() {
    let proxy = Start::new(h2_backend())
        .plain()
        .with(&["--to-protocol", "h2"])
        .start();
    let mut evil = HeaderMap::new();
    evil.insert(
        "x-underseal-principal",
        HeaderValue::from_static("spiffe://evil"),
    );
    ask(proxy.address, "/", b"x", evil).expect_err("a reset");
}

#[test]
fn a_stream_that_breaks_off_is_reset_and_never_ended() {
    for options in [&["--to-protocol", "h2"][..], &[]] {
        let backend = match options {
            [] => {
                Backend::closing_after("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial")
                    .address
            }
            _ => h2_backend(),
        };
        let proxy = Start::new(backend).plain().with(options).start();
        ask(proxy.address, "/cut", b"", HeaderMap::new()).expect_err("a reset");
        assert_eq!(proxy.logged_path("/cut")["error"], "backend-cut");
    }
}

#[test]
fn a_client_of_http1_reaches_a_backend_of_http2() {
    let proxy = Start::new(h2_backend())
        .policy("{ rules: [{ to: [{ operation: { paths: ['/v1/*'] } }] }] }")
        .with(&["--to-protocol", "h2"])
        .start();
    let mut client = proxy.client();
    client.send("POST /v1/./a?b HTTP/1.1\r\nHost: shop.test:81\r\nContent-Length: 5\r\n\r\nhello");
    let head = client.head();
    assert_eq!(
        head.field("x-asked"),
        Some("POST https://shop.test:81/v1/a?b")
    );
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    let mut body = [0; "5\r\nhello\r\n0\r\n\r\n".len()];
    client.read_body(&mut body);
    assert_eq!(String::from_utf8_lossy(&body), "5\r\nhello\r\n0\r\n\r\n");
    client.send(
        "POST /v1/chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!(client.head().status, 200);
    let mut body = [0; "3\r\nabc\r\n0\r\n\r\n".len()];
    client.read_body(&mut body);
    assert_eq!(String::from_utf8_lossy(&body), "3\r\nabc\r\n0\r\n\r\n");
    client.get("/v2");
    assert_eq!(client.response().status, 403);
    client.get("/v1/refuse");
    assert_eq!(client.response().status, 502);
    client.get("/v1/cut");
    assert_eq!(client.head().status, 200);
    client.rest().1.expect_err("no close_notify");
    assert_eq!(proxy.logged_path("/v1/cut")["error"], "backend-cut");
}

#[test]
fn an_egress_policy_judges_the_backend_that_was_proved() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let backend = tls_h2_backend(&certificates);
    let to = format!("tls:localhost:{}", backend.port());
    let ca = certificates.ca_file().display().to_string();
    for (id, expected) in [(SERVER_ID, 200), ("spiffe://other", 403)] {
        let spec = format!(
            "{{ direction: Egress, rules: [{{ when: [{{ key: destination.principal, values: ['{id}'] }}] }}] }}"
        );
        let proxy = Start::new(&to)
            .plain()
            .with(&["--to-protocol", "h2", "--to-ca", &ca])
            .policy(&spec)
            .start();
        let (status, ..) = ask(proxy.address, "/h2", b"x", HeaderMap::new()).expect("an answer");
        assert_eq!(status, expected, "{id}");
        let mut tcp = proxy.tcp();
        write!(
            tcp,
            "HEAD /h1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        assert!(
            text.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{id}: {text}"
        );
    }
}

#[test]
fn a_backend_of_http2_that_is_gone_is_said_to_be() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let proxy = Start::new(address).with(&["--to-protocol", "h2"]).start();
    assert_eq!(proxy.status("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n"), 503);
    assert_eq!(proxy.logged_path("/gone")["error"], "backend-refused");
}

/// A client of HTTP/2 over TLS that sends whatever frames it likes.
pub(crate) fn raw(proxy: &Proxy) -> Client {
    let mut config = proxy.certificates.client_config(Suite::Tls13Aes128);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Client::connect(proxy.address, config);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(4, 0, 0, b""));
    client
}

/// `GET / https a.test` without an entry in the dynamic table.
pub(crate) fn get_head() -> Vec<u8> {
    let mut head = vec![0x82, 0x84, 0x87, 0x01, 6];
    head.extend(b"a.test");
    head
}

#[test]
fn a_request_gets_the_same_verdict_in_both_versions() {
    let proxy = Start::new(Backend::echo().address)
        .plain()
        .policy(
            "{ rules: [{ to: [{ operation: { methods: [GET], paths: ['/v1/*', '/x'], hosts: ['*.test'] } }] }] }",
        )
        .start();
    for (method, path, host) in [
        ("GET", "/v1/a", "shop.test"),
        ("GET", "/v1/a", "SHOP.test:80"),
        ("GET", "/v1/a", "shop.other"),
        ("GET", "/v1/%61/../b", "shop.test"),
        ("GET", "/v1/../v2", "shop.test"),
        ("GET", "/v1%2fa", "shop.test"),
        ("GET", "//v1//a", "shop.test"),
        ("GET", "/x?y=/v2", "shop.test"),
        ("GET", "/v1/a%00", "shop.test"),
        ("POST", "/v1/a", "shop.test"),
        ("get", "/v1/a", "shop.test"),
    ] {
        let mut tcp = proxy.tcp();
        write!(
            tcp,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        let status: u16 = text[9..12].parse().expect("a status");
        let other = runtime().block_on(async {
            let tcp = TcpStream::connect(proxy.address).await.expect("connect");
            let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
            tokio::spawn(connection);
            let mut sender = sender.ready().await.expect("ready");
            let request = Request::builder()
                .method(method)
                .uri(format!("http://{host}{path}"))
                .body(())
                .expect("a request");
            let (response, _) = sender.send_request(request, true).expect("send");
            response.await.expect("a response").status().as_u16()
        });
        assert_eq!(status, other, "{method} {path} {host}");
    }
}

#[test]
fn a_client_has_so_many_streams_at_once_and_no_more() {
    let backend = Backend::new(|connection| while connection.head().is_some() {});
    let proxy = Proxy::start(backend.address);
    let mut client = raw(&proxy);
    for stream in 0..140 {
        client.send(frame(1, 5, 2 * stream + 1, &get_head()));
    }
    let mut refused = 0;
    while refused < 140 - 128 {
        let mut head = [0; 9];
        client.read_body(&mut head);
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(len).expect("short")];
        client.read_body(&mut payload);
        if head[3] == 3 {
            assert_eq!(payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
            refused += 1;
        }
    }
    assert!(backend.heads().len() <= 128);
}

/// In HTTP/1.1, a trailer that the head did not announce is not sent on; what was announced is, as
/// the tests with nghttp say.
#[test]
fn trailers_that_nobody_announced_do_not_reach_a_backend_of_http1() {
    let proxy = Start::new(Backend::echo().address).plain().start();
    let (status, body, _) = ask(proxy.address, "/", b"message", trailers()).expect("an answer");
    let said = String::from_utf8_lossy(&body);
    assert_eq!(status, 200);
    assert!(
        said.ends_with("\r\n\r\n7\r\nmessage\r\n0\r\n\r\n"),
        "{said}"
    );
}
