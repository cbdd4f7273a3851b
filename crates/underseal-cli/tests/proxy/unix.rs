//! Backends at sockets in the file system.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;
use underseal_testkit::PATIENCE;

use crate::harness::{Proxy, Start, close_notify};
use crate::http2::get_head;
use crate::http2_floods::{ACK, DATA, END_HEADERS, HEADERS, PING, SETTINGS, connect, read};
use crate::http2_frames::frame;
use crate::judged::Version;

/// A server at a socket in the file system, which serves each connection by a function.
struct Unix {
    directory: TempDir,
}

impl Unix {
    fn new(serve: impl Fn(BufReader<UnixStream>) + Send + Sync + Clone + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("a socket");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serve) = (stream.expect("a connection"), serve.clone());
                thread::spawn(move || serve(BufReader::new(stream)));
            }
        });
        Self { directory }
    }

    /// Gives bodies back, and heads where there are none.
    fn echo() -> Self {
        Self::new(|mut stream| {
            while let Some(head) = head(&mut stream) {
                let lower = head.to_ascii_lowercase();
                let length = lower.split_once("content-length: ").map(|(_, rest)| {
                    let digits = rest.split("\r\n").next().expect("a line");
                    digits.parse().expect("a length")
                });
                let mut body = vec![0; length.unwrap_or(0)];
                stream.read_exact(&mut body).expect("a body");
                if length.is_none() {
                    body = head.into_bytes();
                }
                let out = stream.get_mut();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = out.write_all(head.as_bytes());
                let _ = out.write_all(&body);
            }
        })
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn start(&self) -> Start {
        Start::new(format!("unix:{}", self.path().display()))
    }
}

fn head(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match stream.read_line(&mut head) {
            Ok(read) if read > 0 => {}
            _ => return None,
        }
    }
    Some(head)
}

fn long() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| (n % 251) as u8).collect()
}

/// Sends and receives a long body without TLS, so that it can be spliced.
fn long_body(proxy: &Proxy) {
    let body = long();
    let mut tcp = proxy.tcp();
    let mut reader = tcp.try_clone().expect("a second handle");
    let sent = body.clone();
    let sending = thread::spawn(move || {
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        tcp.write_all(head.as_bytes()).expect("send");
        tcp.write_all(&sent).expect("send");
    });
    let mut came = Vec::new();
    reader.read_to_end(&mut came).expect("an answer");
    sending.join().expect("all of it");
    assert!(came.ends_with(&body), "{} bytes", came.len());
}

#[test]
fn requests_of_either_version_reach_a_socket_in_the_file_system() {
    let unix = Unix::echo();
    let proxy = unix
        .start()
        .plain()
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    for client in Version::BOTH {
        for _ in 0..3 {
            assert_eq!(client.get(proxy.address, &[]), 200, "{client:?}");
        }
        assert_eq!(client.send(proxy.address, "PUT", &long()[..100_000]), 200);
    }
    long_body(&proxy);
    let metrics = proxy.admin("/metrics");
    for direction in ["rx", "tx"] {
        let series =
            format!("underseal_spliced_bytes_total{{side=\"backend\",direction=\"{direction}\"}} ");
        let (_, rest) = metrics.split_once(&series).expect("a series");
        assert!(!rest.starts_with("0\n"), "{direction}: {metrics}");
    }
    let name = format!("unix:{}", unix.path().display());
    assert_eq!(proxy.logged_path("/")["backend"], name);
}

#[test]
fn clients_with_tls_reach_it_too() {
    let unix = Unix::echo();
    let proxy = unix.start().start();
    let mut client = proxy.client();
    client.get("/sealed");
    let text = client.response().text();
    assert!(
        text.starts_with("GET /sealed HTTP/1.1\r\nHost: localhost\r\n"),
        "{text}"
    );
}

#[test]
fn it_is_told_the_client_by_the_proxy_protocol_and_bytes_pass() {
    let unix = Unix::new(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("all of it");
        let _ = stream.get_mut().write_all(&all);
    });
    let start = unix.start().with(&["--protocol", "tcp", "--send-proxy"]);
    let proxy = start.start();
    let mut client = proxy.client();
    client.send("hello");
    close_notify(&mut client);
    let (came, ended) = client.rest();
    ended.expect("close_notify");
    assert!(came.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"));
    assert!(came.ends_with(b"hello") && came.len() == 28 + 5);
}

#[test]
fn where_it_is_and_who_is_there_policies_do_not_know() {
    for key in [
        "destination.ip",
        "destination.port",
        "destination.principal",
    ] {
        let value = match key {
            "destination.ip" => "127.0.0.1",
            "destination.port" => "8080",
            _ => "spiffe://a/b",
        };
        let rule = format!("[{{ when: [{{ key: {key}, notValues: ['{value}'] }}] }}]");
        let allow = format!("{{ direction: Egress, rules: {rule} }}");
        let unix = Unix::echo();
        let start = unix.start().plain().policy(&allow);
        let proxy = start.with(&["--direction", "egress"]).start();
        let expected = if key == "destination.principal" {
            200
        } else {
            403
        };
        for client in Version::BOTH {
            assert_eq!(client.get(proxy.address, &[]), expected, "{client:?} {key}");
        }
    }
}

#[test]
fn one_that_is_not_there_is_passed_over() {
    let unix = Unix::echo();
    let there = format!("unix:{}", unix.path().display());
    let proxy = Start::new("unix:/nowhere/s")
        .plain()
        .with(&["--to", &there])
        .start();
    for _ in 0..4 {
        assert_eq!(Version::Http1.get(proxy.address, &[]), 200);
    }
    let alone = Start::new("unix:/nowhere/s").plain().start();
    assert_eq!(Version::Http1.get(alone.address, &[]), 503);
    assert_eq!(alone.logged_path("/")["error"], "backend-refused");
}

/// Short frames, fewer bytes than a stream's window.
const PIECES: usize = 200_000;

/// Far less than they take one by one.
const LITTLE: usize = 8 * 1024 * 1024;

/// Bytes of memory that a proxy has.
fn memory(proxy: &Proxy) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.peer.id()));
    let status = status.expect("it runs");
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: usize = kibibytes.expect("a size").parse().expect("a number");
    kibibytes * 1024
}

/// A client of HTTP/2 sends them in frames of one byte.
#[test]
fn bytes_that_one_does_not_take_any_more_are_held_together() {
    let unix = Unix::new(|mut stream| {
        head(&mut stream);
        let out = stream.get_mut();
        out.shutdown(Shutdown::Read).expect("an end");
        let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
        out.write_all(begun).expect("send");
        thread::sleep(4 * PATIENCE);
    });
    let proxy = unix.start().plain().with(&["--workers", "1"]).start();
    let mut client = connect(&proxy);
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = frame(HEADERS, END_HEADERS, 1, &get_head());
    client.write_all(&head).expect("send");
    let (_, end) = read(&mut client, |(kind, ..)| *kind == DATA);
    assert_eq!(end, None);
    // The first finds out that nobody takes it.
    let agreed = [frame(SETTINGS, ACK, 0, b""), frame(DATA, 0, 1, b"x")];
    client.write_all(&agreed.concat()).expect("send");
    let mut ping = |before: &[u8]| {
        let ping = [before, &frame(PING, 0, 0, b"whenread")].concat();
        client.write_all(&ping).expect("send");
        let (_, end) = read(&mut client, |(kind, ..)| *kind == PING);
        assert_eq!(end, None);
    };
    ping(b"");
    let before = memory(&proxy);
    ping(&frame(DATA, 0, 1, b"x").repeat(PIECES));
    let more = memory(&proxy).saturating_sub(before);
    assert!(more < LITTLE, "{more} bytes");
}

/// Nor does it tell whether it broke off: a program that is killed ends like one that is done.
#[test]
fn what_ends_with_its_connection_is_whole() {
    let unix = Unix::new(|mut stream| {
        head(&mut stream);
        let answer = b"HTTP/1.1 200 OK\r\n\r\nall there is";
        stream.get_mut().write_all(answer).expect("send");
    });
    let proxy = unix.start().start();
    let mut client = proxy.client();
    client.get("/");
    let (came, ended) = client.rest();
    assert!(came.ends_with(b"\r\n\r\nall there is"));
    ended.expect("close_notify");
    assert!(proxy.logged_path("/")["error"].is_null());
    let (status, text) = Version::Http2.ask_for(unix.start().plain().start().address, "/", &[]);
    assert_eq!(status, 200);
    assert!(text.ends_with("all there is"), "{text}");
}

#[test]
fn it_is_asked_whether_it_is_well() {
    let unix = Unix::new(|mut stream| {
        while let Some(head) = head(&mut stream) {
            let status = if head.contains(" /healthz ") {
                "503 No"
            } else {
                "200 OK"
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    let start = unix.start().with(&["--health-check", "/healthz"]);
    start.start().peer.wait_for("fails its health check: 503");
}
