//! What is judged is what goes on, whatever clients and backends speak and whichever way requests go.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use http::{Request, Response};
use hyper::body::Bytes;
use tokio::net::TcpStream;
use underseal_testkit::{Certificates, KeyType, SERVER_ID};

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2::{h2_backend, runtime, tls_h2_backend};
use crate::tls::tls_backend;

/// What a client, or a backend, speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    /// The options for backends that speak it.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Http1 => &[],
            Self::Http2 => &["--to-protocol", "h2"],
        }
    }

    /// Asks for `/` with these fields, in plaintext; gives the status.
    pub(crate) fn get(self, address: SocketAddr, fields: &[(&str, &str)]) -> u16 {
        self.ask(address, "GET", fields, b"")
    }

    /// Sends a body to `/`.
    pub(crate) fn send(self, address: SocketAddr, method: &str, body: &[u8]) -> u16 {
        match body.len() {
            0 => self.ask(address, method, &[], body),
            length => {
                let fields = [("content-length", &*length.to_string())];
                self.ask(address, method, &fields, body)
            }
        }
    }

    /// Asks for a target of `asked.test` with these fields; gives the status, and all that was answered as
    /// text.
    pub(crate) fn ask_for(
        self,
        address: SocketAddr,
        target: &str,
        fields: &[(&str, &str)],
    ) -> (u16, String) {
        match self {
            Self::Http1 => ask_http1_for(address, target, fields),
            Self::Http2 => ask_http2_for(address, target, fields),
        }
    }

    /// Asks for a target; gives the status.
    pub(crate) fn get_target(self, address: SocketAddr, target: &str) -> u16 {
        self.ask_for(address, target, &[]).0
    }

    fn ask(self, address: SocketAddr, method: &str, fields: &[(&str, &str)], body: &[u8]) -> u16 {
        match self {
            Self::Http1 => ask_http1(address, method, fields, body),
            Self::Http2 => ask_http2(address, method, fields, body),
        }
    }
}

fn ask_http1_for(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut tcp = crate::client::tcp(address);
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let fields = fields.collect::<String>();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: asked.test\r\nConnection: close\r\n{fields}\r\n");
    tcp.write_all(request.as_bytes()).expect("send");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("an answer");
    let status = text.split(' ').nth(1).expect("a status");
    (status.parse().expect("a status"), text)
}

fn ask_http2_for(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> (u16, String) {
    runtime().block_on(async {
        let tcp = TcpStream::connect(address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let mut request = Request::get(format!("http://asked.test{target}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (response, _) = sender.send_request(request, true).expect("send");
        let (head, mut body) = response.await.expect("an answer").into_parts();
        let mut text = format!("{:?}\r\n", head.headers);
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            text += &String::from_utf8_lossy(&data);
        }
        (head.status.as_u16(), text)
    })
}

fn ask_http1(address: SocketAddr, method: &str, fields: &[(&str, &str)], body: &[u8]) -> u16 {
    let mut tcp = crate::client::tcp(address);
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let fields = fields.collect::<String>();
    let mut request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    request.extend_from_slice(body);
    // It may be answered before all of it is taken.
    let _ = tcp.write_all(&request);
    let mut status = [0; 12];
    tcp.read_exact(&mut status).expect("an answer");
    let status = str::from_utf8(&status[9..]).expect("ASCII");
    status.parse().expect("a status")
}

fn ask_http2(address: SocketAddr, method: &str, fields: &[(&str, &str)], body: &[u8]) -> u16 {
    runtime().block_on(async {
        let tcp = TcpStream::connect(address).await.expect("connect");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("ready");
        let mut request = Request::builder().method(method).uri("http://a/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (response, mut sink) = sender.send_request(request, body.is_empty()).expect("send");
        if !body.is_empty() {
            let body = Bytes::copy_from_slice(body);
            sink.send_data(body, true).expect("send");
        }
        response.await.expect("a response").status().as_u16()
    })
}

/// A request, and what becomes of it under a policy.
struct Case {
    action: &'static str,
    /// Of `when`.
    condition: &'static str,
    fields: &'static [(&'static str, &'static str)],
    status: u16,
    /// Whether HTTP/2 has such requests.
    in_http2: bool,
}

const fn case(
    action: &'static str,
    condition: &'static str,
    fields: &'static [(&'static str, &'static str)],
    status: u16,
) -> Case {
    Case {
        action,
        condition,
        fields,
        status,
        in_http2: true,
    }
}

const fn in_http1(case: Case) -> Case {
    Case {
        in_http2: false,
        ..case
    }
}

const CRUMBS: &[(&str, &str)] = &[("cookie", "a=1"), ("cookie", "admin=1")];
const SESSION: &[(&str, &str)] = &[("cookie", "session=abc"), ("cookie", "theme=dark")];

const CASES: &[Case] = &[
    // Cookies go on in one line.
    case("DENY", "cookie]', values: ['*; admin=1']", CRUMBS, 403),
    case("DENY", "cookie]', values: ['admin=1']", CRUMBS, 200),
    case("ALLOW", "cookie]', values: ['session=abc*']", SESSION, 200),
    case("ALLOW", "cookie]', values: ['theme=dark']", SESSION, 403),
    // What only the proxy may say is what it says.
    case(
        "ALLOW",
        "x-underseal-principal]', values: ['spiffe://corp/*']",
        &[("x-underseal-principal", "spiffe://corp/web")],
        403,
    ),
    case(
        "DENY",
        "x-underseal-principal]', notValues: ['*']",
        &[("x-underseal-principal", "spiffe://corp/web")],
        403,
    ),
    case(
        "ALLOW",
        "x-forwarded-for]', values: ['10.*']",
        &[("x-forwarded-for", "10.0.0.1")],
        403,
    ),
    case(
        "ALLOW",
        "x-forwarded-for]', values: ['127.0.0.1']",
        &[("x-forwarded-for", "10.0.0.1")],
        200,
    ),
    case(
        "ALLOW",
        "x-forwarded-proto]', values: [https]",
        &[("x-forwarded-proto", "https")],
        403,
    ),
    case("ALLOW", "x-forwarded-proto]', values: [http]", &[], 200),
    case(
        "ALLOW",
        "x-real-ip]', values: ['*']",
        &[("x-real-ip", "10.0.0.1")],
        403,
    ),
    case(
        "ALLOW",
        "x_real_ip]', values: ['*']",
        &[("x_real_ip", "10.0.0.1")],
        403,
    ),
    case(
        "ALLOW",
        "forwarded]', values: ['*']",
        &[("forwarded", "for=10.0.0.1")],
        403,
    ),
    // Fields of the connection stay behind.
    case(
        "ALLOW",
        "te]', values: [trailers]",
        &[("te", "trailers")],
        200,
    ),
    in_http1(case(
        "ALLOW",
        "te]', values: ['gzip*']",
        &[("te", "gzip, trailers")],
        403,
    )),
    in_http1(case(
        "ALLOW",
        "keep-alive]', values: ['*']",
        &[("keep-alive", "timeout=5")],
        403,
    )),
    in_http1(case(
        "ALLOW",
        "x-tenant]', values: [a]",
        &[("connection", "X-Tenant"), ("x-tenant", "a")],
        403,
    )),
    in_http1(case(
        "DENY",
        "x-tenant]', notValues: ['*']",
        &[("connection", "X-Tenant"), ("x-tenant", "a")],
        403,
    )),
    in_http1(case(
        "DENY",
        "cookie]', notValues: ['*']",
        &[("connection", "cookie"), ("cookie", "a=1")],
        403,
    )),
];

#[test]
fn the_fields_that_go_on_are_judged_and_no_others() {
    let echo = Backend::echo();
    let mut wrong = Vec::new();
    for case in CASES {
        let Case {
            action, condition, ..
        } = case;
        for direction in ["Ingress", "Egress"] {
            let spec = format!(
                "{{ direction: {direction}, action: {action}, rules: [{{ when: [{{ key: 'request.headers[{condition} }}] }}] }}"
            );
            for backend in Version::BOTH {
                let address = match backend {
                    Version::Http1 => echo.address,
                    Version::Http2 => h2_backend(),
                };
                let proxy = Start::new(address)
                    .plain()
                    .with(&["--direction", &direction.to_lowercase()])
                    .with(backend.options())
                    .policy(&spec)
                    .start();
                for client in Version::BOTH {
                    if client == Version::Http2 && !case.in_http2 {
                        continue;
                    }
                    let status = client.get(proxy.address, case.fields);
                    if status != case.status {
                        wrong.push(format!(
                            "{client:?} to {backend:?}, {direction}: {action} {condition} of {:?}: {status}",
                            case.fields
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Policies of egress that ask who answers; `PORT` is the port of the backend that does, `FIRST` that
/// of one before it, which does not.
const EGRESS: &[(&str, &str, u16)] = &[
    ("DENY", "destination.principal, values: ['ID']", 403),
    (
        "DENY",
        "destination.principal, values: ['spiffe://other']",
        200,
    ),
    ("DENY", "destination.principal, notValues: ['ID']", 200),
    ("ALLOW", "destination.principal, values: ['ID']", 200),
    (
        "ALLOW",
        "destination.principal, values: ['spiffe://other']",
        403,
    ),
    ("DENY", "connection.sni, values: [localhost]", 403),
    ("DENY", "connection.sni, values: [other.test]", 200),
    ("ALLOW", "connection.sni, values: [localhost]", 200),
    ("ALLOW", "connection.transport, values: [tcp]", 200),
    ("ALLOW", "connection.transport, values: [udp]", 403),
    ("DENY", "destination.port, values: ['PORT']", 403),
    ("DENY", "destination.port, values: ['FIRST']", 200),
    ("DENY", "destination.port, notValues: ['FIRST']", 403),
    ("ALLOW", "destination.port, values: ['PORT']", 200),
    ("DENY", "destination.ip, values: ['127.0.0.1']", 403),
];

/// A row of [`EGRESS`], with the ports of its backends.
fn egress(action: &str, condition: &str, (first, port): (u16, u16)) -> String {
    let condition = condition
        .replace("ID", SERVER_ID)
        .replace("PORT", &port.to_string())
        .replace("FIRST", &first.to_string());
    format!(
        "{{ direction: Egress, action: {action}, rules: [{{ when: [{{ key: {condition} }}] }}] }}"
    )
}

#[test]
fn policies_of_egress_judge_the_backend_that_answers() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let ca = certificates.ca_file().display().to_string();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let first = free.local_addr().expect("an address").port();
    drop(free);
    let mut wrong = Vec::new();
    for backend in Version::BOTH {
        let port = match backend {
            Version::Http1 => tls_backend(&certificates).port(),
            Version::Http2 => tls_h2_backend(&certificates).port(),
        };
        for (action, condition, expected) in EGRESS {
            let spec = egress(action, condition, (first, port));
            let proxy = Start::new(format!("tls:localhost:{first}"))
                .plain()
                .with(&["--to", &format!("tls:localhost:{port}"), "--to-ca", &ca])
                .with(backend.options())
                .policy(&spec)
                .start();
            for client in Version::BOTH {
                // The second one may find a connection that was kept.
                for _ in 0..2 {
                    let status = client.get(proxy.address, &[]);
                    if status != *expected {
                        wrong.push(format!(
                            "{client:?} to {backend:?}: {action} {condition}: {status}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn policies_of_egress_judge_the_backend_of_a_connection_too() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let ca = certificates.ca_file().display().to_string();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let first = free.local_addr().expect("an address").port();
    drop(free);
    let port = tls_backend(&certificates).port();
    for (action, condition, expected) in EGRESS {
        let spec = egress(action, condition, (first, port));
        let proxy = Start::new(format!("tls:localhost:{first}"))
            .plain()
            .with(&["--to", &format!("tls:localhost:{port}"), "--to-ca", &ca])
            .with(&["--protocol", "tcp"])
            .policy(&spec)
            .start();
        let mut tcp = proxy.tcp();
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        let answered = tcp.read(&mut [0; 1]).is_ok_and(|read| read == 1);
        assert_eq!(answered, *expected == 200, "{spec}");
    }
}

/// A backend with one connection, on which it answers one request and dies by the next. Nothing
/// listens there any more.
fn dying(version: Version) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (tcp, _) = listener.accept().expect("a connection");
        drop(listener);
        match version {
            Version::Http1 => {
                let mut lines = BufReader::new(&tcp).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                (&tcp).write_all(answer).expect("send");
                lines.next();
            }
            Version::Http2 => runtime().block_on(async {
                tcp.set_nonblocking(true).expect("an option");
                let tcp = TcpStream::from_std(tcp).expect("a stream");
                let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
                let first = connection.accept().await.expect("a request");
                let (_, mut respond) = first.expect("a request");
                respond
                    .send_response(Response::new(()), true)
                    .expect("send");
                let _ = connection.accept().await;
            }),
        }
    });
    address
}

#[test]
fn a_second_try_is_a_new_judgement() {
    for version in Version::BOTH {
        for client in Version::BOTH {
            let allowed = dying(version);
            let other = Backend::echo();
            let h2 = h2_backend();
            let denied = match version {
                Version::Http1 => other.address,
                Version::Http2 => h2,
            };
            let spec = format!(
                "{{ direction: Egress, rules: [{{ to: [{{ operation: {{ ports: ['{}'] }} }}] }}] }}",
                allowed.port()
            );
            let proxy = Start::new(allowed)
                .plain()
                .with(&["--to", &denied.to_string(), "--workers", "1"])
                .with(&["--direction", "egress"])
                .with(version.options())
                .policy(&spec)
                .start();
            let statuses: Vec<_> = (0..4).map(|_| client.get(proxy.address, &[])).collect();
            // In turn: allowed, denied, allowed and dead.
            assert_eq!(statuses, [200, 403, 403, 403], "{client:?} to {version:?}");
            assert!(other.heads().is_empty(), "{:?}", other.heads());
        }
    }
}
