//! Requests that are sent once more, whatever clients and backends speak.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2_frames::frame;
use crate::judged::Version;

/// What a backend does with a request of its first connection; later ones it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It resets the first stream: REFUSED_STREAM.
    Refuses,
    /// It ends the connection, and says that it has looked at no stream.
    GoesAway,
    /// It answers the first request, and ends the connection by the second.
    Dies,
    /// It resets the second stream: INTERNAL_ERROR.
    Fails,
}

/// A backend, and the bodies of what it answered.
struct Recording {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recording {
    fn start(version: Version, way: Way) -> Self {
        match version {
            Version::Http1 => Self::http1(),
            Version::Http2 => Self::http2(way),
        }
    }

    /// One that dies.
    fn http1() -> Self {
        let bodies = Arc::<Mutex<Vec<_>>>::default();
        let (recorded, connections) = (Arc::clone(&bodies), AtomicUsize::new(0));
        let backend = Backend::new(move |connection| {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            let mut answered = 0;
            while let Some(head) = connection.head() {
                if is_first && answered == 1 {
                    return;
                }
                let Some(body) = connection.body(&head) else {
                    return;
                };
                recorded.lock().expect("no panic").push(body);
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                answered += 1;
            }
        });
        Self {
            address: backend.address,
            bodies,
        }
    }

    fn http2(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let bodies = Arc::<Mutex<Vec<_>>>::default();
        let recorded = Arc::clone(&bodies);
        thread::spawn(move || {
            for (index, tcp) in listener.incoming().enumerate() {
                let mut connection = Frames {
                    tcp: tcp.expect("a connection"),
                    way: (index == 0).then_some(way),
                    streams: HashMap::new(),
                    bodies: Arc::clone(&recorded),
                };
                thread::spawn(move || connection.serve());
            }
        });
        Self { address, bodies }
    }

    fn last_body(&self) -> Vec<u8> {
        let bodies = self.bodies.lock().expect("no panic");
        bodies.last().cloned().unwrap_or_default()
    }
}

/// A connection of HTTP/2, frame by frame.
struct Frames {
    tcp: TcpStream,
    way: Option<Way>,
    streams: HashMap<u32, Vec<u8>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Frames {
    /// Serves until the connection ends; `None` is that.
    fn serve(&mut self) -> Option<()> {
        self.read(24)?;
        self.send(&frame(4, 0, 0, b""))?;
        loop {
            let head = self.read(9)?;
            let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four"));
            let (length, stream) = (word(0) >> 8, word(5));
            let payload = self.read(usize::try_from(length).expect("short"))?;
            match (head[3], head[4]) {
                (1, flags) => {
                    self.streams.insert(stream, Vec::new());
                    if !self.misbehave(stream)? && flags & 1 != 0 {
                        self.answer(stream)?;
                    }
                }
                (0, flags) => {
                    if length > 0 {
                        self.send(&frame(8, 0, 0, &length.to_be_bytes()))?;
                    }
                    if let Some(body) = self.streams.get_mut(&stream) {
                        body.extend(payload);
                        if flags & 1 != 0 {
                            self.answer(stream)?;
                        }
                    }
                }
                (4 | 6, 0) => self.send(&frame(
                    head[3],
                    1,
                    0,
                    if head[3] == 6 { &payload } else { b"" },
                ))?,
                _ => {}
            }
        }
    }

    /// Does what it does on its first connection; says whether the stream is over by that.
    fn misbehave(&mut self, stream: u32) -> Option<bool> {
        match (self.way, stream) {
            (Some(Way::Refuses), 1) => self.send(&frame(3, 0, stream, &7_u32.to_be_bytes()))?,
            (Some(Way::Fails), 3) => self.send(&frame(3, 0, stream, &2_u32.to_be_bytes()))?,
            (Some(Way::GoesAway), 1) => self.send(&frame(7, 0, 0, &[0; 8]))?,
            (Some(Way::Dies), 3) => return None,
            _ => return Some(false),
        }
        self.streams.remove(&stream);
        Some(true)
    }

    fn answer(&mut self, stream: u32) -> Option<()> {
        let body = self.streams.remove(&stream)?;
        self.bodies.lock().expect("no panic").push(body);
        // `:status: 200`, and the end.
        self.send(&frame(1, 5, stream, &[0x88]))
    }

    fn read(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.tcp.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.tcp.write_all(bytes).ok()
    }
}

/// What a backend does, a request with a body of this length, and what the client is answered.
const CASES: &[(Way, &str, usize, u16)] = &[
    (Way::Refuses, "GET", 0, 200),
    (Way::Refuses, "POST", 5, 200),
    (Way::Refuses, "POST", 60_000, 200),
    (Way::Refuses, "POST", 70_000, 502),
    (Way::GoesAway, "GET", 0, 200),
    (Way::GoesAway, "POST", 5, 200),
    (Way::Dies, "GET", 0, 200),
    (Way::Dies, "PUT", 5, 200),
    (Way::Dies, "PUT", 60_000, 200),
    (Way::Dies, "POST", 5, 502),
    (Way::Fails, "GET", 0, 502),
    (Way::Fails, "PUT", 5, 502),
];

#[test]
fn a_request_is_sent_once_more_where_that_is_certain_to_do_no_harm() {
    let mut wrong = Vec::new();
    for (way, method, length, expected) in CASES {
        for version in Version::BOTH {
            if version == Version::Http1 && *way != Way::Dies {
                continue;
            }
            for client in Version::BOTH {
                let backend = Recording::start(version, *way);
                let proxy = Start::new(backend.address)
                    .plain()
                    .with(&["--workers", "1"])
                    .with(version.options())
                    .start();
                if matches!(way, Way::Dies | Way::Fails) {
                    assert_eq!(client.get(proxy.address, &[]), 200);
                }
                let body = vec![b'x'; *length];
                let status = client.send(proxy.address, method, &body);
                if status != *expected || status == 200 && backend.last_body() != body {
                    wrong.push(format!(
                        "{client:?} to {version:?} that {way:?}: {method} with {length} bytes: {status}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_body_in_chunks_is_sent_once_more_as_it_came() {
    for (version, way, sent) in [
        (Version::Http1, Way::Dies, &b"3\r\nabc\r\n0\r\n\r\n"[..]),
        (Version::Http2, Way::Dies, b"abc"),
        (Version::Http2, Way::Refuses, b"abc"),
    ] {
        let backend = Recording::start(version, way);
        let proxy = Start::new(backend.address)
            .plain()
            .with(&["--workers", "1"])
            .with(version.options())
            .start();
        if way == Way::Dies {
            assert_eq!(Version::Http1.get(proxy.address, &[]), 200);
        }
        let mut tcp = proxy.tcp();
        tcp.write_all(
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .expect("send");
        // What comes behind it is another request.
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("responses");
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
        let bodies = backend.bodies.lock().expect("no panic");
        assert!(bodies.iter().any(|body| body == sent), "{way:?} {bodies:?}");
    }
}

/// Whoever reads to the end of the connection would take what came of it for the whole.
#[test]
fn a_request_that_is_sent_once_more_does_not_end_in_order_for_the_backend_that_had_it() {
    for client in Version::BOTH {
        let (tell, told) = channel();
        let connections = AtomicUsize::new(0);
        let backend = Backend::new(move |connection| {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            while let Some(head) = connection.head() {
                if is_first && head.starts_with("PUT ") {
                    connection.finish().expect("an open connection");
                    let end = connection.rest().map_err(|error| error.kind());
                    return tell.send(end).expect("a test");
                }
                connection.body(&head);
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let start = Start::new(backend.address).plain();
        let proxy = start.with(&["--workers", "1"]).start();
        assert_eq!(client.get(proxy.address, &[]), 200);
        assert_eq!(client.send(proxy.address, "PUT", b"hello"), 200);
        let end = told.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{client:?}");
    }
}

/// A backend of one connection, which answers one request and is gone by the second.
fn leaving() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        drop(listener);
        let mut read = [0; 4096];
        assert_ne!(tcp.read(&mut read).expect("a request"), 0);
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .expect("an answer");
        tcp.read(&mut read)
    });
    address
}

#[test]
fn a_try_that_reaches_nobody_is_not_told_of_the_backend_of_the_one_before() {
    for client in Version::BOTH {
        let backend = leaving();
        let proxy = Start::new(backend)
            .plain()
            .with(&["--workers", "1", "--admin", "127.0.0.1:0"])
            .start();
        assert_eq!(client.get(proxy.address, &[]), 200);
        assert_eq!(client.send(proxy.address, "PUT", b"abc"), 503);
        let line = proxy.logged(|line| line["status"] == 503);
        assert!(line["backend"].is_null(), "{client:?} {line}");
        assert_eq!(line["bytes_in"], 0, "{client:?} {line}");
        let metrics = proxy.admin("/metrics");
        let errors = metrics
            .lines()
            .filter(|line| line.contains("backend_errors_total{"));
        let counted =
            format!("underseal_backend_errors_total{{backend=\"{backend}\",kind=\"refused\"}} 1");
        assert_eq!(errors.collect::<Vec<_>>(), [counted], "{client:?}");
    }
}

#[test]
fn a_try_that_reaches_nobody_does_not_take_back_what_the_one_before_was_allowed() {
    for client in Version::BOTH {
        let proxy = Start::new(leaving())
            .plain()
            .with(&["--workers", "1", "--direction", "egress"])
            .policy("{ direction: Egress, rules: [{}] }")
            .start();
        assert_eq!(client.get(proxy.address, &[]), 200);
        assert_eq!(client.send(proxy.address, "PUT", b"abc"), 503);
        let line = proxy.logged(|line| line["status"] == 503);
        assert_eq!(
            (&line["verdict"], &line["policy"], &line["error"]),
            (&"allow".into(), &"orders".into(), &"backend-refused".into()),
            "{client:?}"
        );
    }
}

/// As much as is kept of a body, and as much as is read ahead behind it, do not fit into one buffer.
#[test]
fn what_a_client_sends_behind_a_request_is_still_there_when_that_is_sent_once_more() {
    let connections = AtomicUsize::new(0);
    let backend = Backend::new(move |connection| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        while let Some((head, _)) = connection.request() {
            if is_first && head.starts_with("PUT ") {
                // The proxy reads ahead meanwhile; however far it comes, the answers are the same.
                thread::sleep(std::time::Duration::from_millis(700));
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--workers", "1"])
        .start();
    assert_eq!(Version::Http1.get(proxy.address, &[]), 200);
    let mut tcp = proxy.tcp();
    let mut sent = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n".to_vec();
    sent.resize(sent.len() + 65536, b'x');
    let pad = "x".repeat(1000);
    for _ in 0..399 {
        let next = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Pad: {pad}\r\n\r\n");
        sent.extend(next.as_bytes());
    }
    sent.extend(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut writer = tcp.try_clone().expect("a second handle");
    let sending = thread::spawn(move || writer.write_all(&sent));
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("responses");
    sending.join().expect("no panic").expect("all of it");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 401);
}
