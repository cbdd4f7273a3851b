//! Requests whose words have one meaning to rules, and may have another one to who serves them.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::client::tcp;
use crate::harness::{Proxy, Start};
use crate::http2::{h2_backend, runtime};

const JUDGED: &str = "
  action: DENY
  rules:
    - to: [{ operation: { paths: ['/secret', '/admin*'] } }]
    - to: [{ operation: { methods: [DELETE, PURGE] } }]
    - when: [{ key: 'request.headers[x-role]', values: [admin] }]
    - when: [{ key: 'request.headers[y_role]', values: [admin] }]";
const OTHERS: &str = "{ action: DENY, rules: [{ to: [{ operation: { hosts: [other.test] } }] }] }";

/// A request: method, path, a field, a trailer, and what it gets where its words are judged.
type Case = (&'static str, &'static str, Pair, Pair, u16);
type Pair = Option<(&'static str, &'static str)>;

const CASES: [Case; 18] = [
    ("GET", "/open", None, None, 200),
    ("GET", "/secret", None, None, 403),
    ("GET", "/secret;a=b", None, None, 400),
    ("GET", "/;/admin", None, None, 400),
    ("GET", "/secret%3Ba", None, None, 400),
    ("DELETE", "/open", None, None, 403),
    ("delete", "/open", None, None, 400),
    ("purge", "/open", None, None, 400),
    ("Get", "/open", None, None, 400),
    ("frob", "/open", None, None, 200),
    ("GET", "/open", Some(("x-role", "user")), None, 200),
    ("GET", "/open", Some(("x-role", "admin")), None, 403),
    ("GET", "/open", Some(("x_role", "admin")), None, 400),
    ("GET", "/open", Some(("x.role", "admin")), None, 400),
    ("GET", "/open", Some(("y-role", "admin")), None, 400),
    ("POST", "/open", None, Some(("x-role", "admin")), 400),
    ("POST", "/open", None, Some(("x_role", "admin")), 400),
    ("POST", "/open", None, Some(("x-other", "admin")), 200),
];

fn http1(address: SocketAddr, (method, path, field, trailer, _): Case) -> u16 {
    let line = |(name, value)| format!("{name}: {value}\r\n");
    let field = field.map(line).unwrap_or_default();
    let (framing, body) = match trailer {
        None => ("", String::new()),
        Some(trailer) => (
            "Transfer-Encoding: chunked\r\nTrailer: x-role, x_role, x-other\r\n",
            format!("0\r\n{}\r\n", line(trailer)),
        ),
    };
    let mut tcp = tcp(address);
    // In one piece: a backend that answers to the head may be quicker than what follows it.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{field}{framing}\r\n{body}"
    );
    tcp.write_all(request.as_bytes()).expect("send");
    let mut text = Vec::new();
    tcp.read_to_end(&mut text).expect("an answer");
    let text = String::from_utf8_lossy(&text);
    text[9..12].parse().expect("a status")
}

/// A stream that is reset counts as 400: its trailers came too late for a status.
fn http2(address: SocketAddr, (method, path, field, trailer, _): Case) -> u16 {
    runtime().block_on(async {
        let tcp = TcpStream::connect(address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://a.test{path}"));
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        if trailer.is_some() {
            request = request.header("trailer", "x-role, x_role, x-other");
        }
        let request = request.body(()).expect("a request");
        let (response, mut sink) = sender
            .send_request(request, trailer.is_none())
            .expect("send");
        if let Some((name, value)) = trailer {
            let mut trailers = HeaderMap::new();
            trailers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            sink.send_trailers(trailers).expect("trailers");
        }
        let Ok(response) = response.await else {
            return 400;
        };
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(data) = body.data().await {
            if data.is_err() {
                return 400;
            }
        }
        status
    })
}

/// What each case gets by a proxy that `options` are added to, for both versions of clients and
/// backends.
fn each(policy: &str, options: &[&str], wanted: impl Fn(Case) -> u16) {
    let backend = Backend::echo();
    for (to, version) in [(backend.address, "http1"), (h2_backend(), "h2")] {
        let start = Start::new(to).plain().policy(policy);
        let proxy: Proxy = start
            .with(options)
            .with(&["--to-protocol", version])
            .start();
        for case in CASES {
            let wanted = wanted(case);
            assert_eq!(
                http1(proxy.address, case),
                wanted,
                "HTTP/1.1 to {version}: {case:?}"
            );
            assert_eq!(
                http2(proxy.address, case),
                wanted,
                "HTTP/2 to {version}: {case:?}"
            );
        }
    }
}

#[test]
fn what_can_be_taken_for_what_is_judged_is_refused() {
    each(JUDGED, &[], |(.., status)| status);
}

#[test]
fn where_nobody_asks_for_them_all_words_pass() {
    each(OTHERS, &[], |_| 200);
}

#[test]
fn parameters_of_paths_are_kept_or_rejected_if_that_is_said() {
    let has_parameter = |path: &str| path.contains([';', '%']);
    each(
        JUDGED,
        &["--path-parameters", "keep"],
        |(_, path, .., status)| {
            if has_parameter(path) { 200 } else { status }
        },
    );
    each(OTHERS, &["--path-parameters", "reject"], |(_, path, ..)| {
        if has_parameter(path) { 400 } else { 200 }
    });
}
