//! Long bodies and tunnels whose bytes go from socket to socket through a pipe: between plain
//! connections everywhere, and with TLS where the kernel seals and opens.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use underseal_testkit::Suite;

use crate::backend::{Backend, Connection};
use crate::client::Client;
use crate::harness::{Proxy, Start};

/// Bytes of a body that is long enough for a pipe, of no round length.
const LEN: usize = 3_000_001;

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n % 251) as u8).collect()
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Answers `GET /long` with the pattern, and everything else with the body that came.
fn backend() -> Backend {
    Backend::new(|connection| {
        while let Some((head, body)) = connection.request() {
            match head.starts_with("GET /long ") {
                true => connection.send(ok(&pattern(LEN))),
                false => connection.send(ok(&body)),
            }
        }
    })
}

/// Gives back all that came, once it has ended.
fn echo() -> Backend {
    Backend::new(|connection| {
        let all = connection.read(usize::MAX);
        connection.send(all);
    })
}

/// Bytes that the proxy spliced, by side and direction.
fn spliced(proxy: &Proxy, side: &str, direction: &str) -> usize {
    let metrics = proxy.admin("/metrics");
    let series =
        format!("underseal_spliced_bytes_total{{side=\"{side}\",direction=\"{direction}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    let count = line.unwrap_or_else(|| panic!("{series} is not in {metrics}"));
    count.parse().expect("a number")
}

/// Most of a body of [`LEN`]; what came with its head was read.
fn is_most(bytes: usize) -> bool {
    (LEN - 512 * 1024..=LEN).contains(&bytes)
}

fn start(backend: &Backend, options: &[&str]) -> Start {
    Start::new(backend.address)
        .with(&["--admin", "127.0.0.1:0"])
        .with(options)
}

fn read_response(tcp: &mut TcpStream, body: usize) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200 "),
        "{}",
        head.escape_ascii()
    );
    let mut bytes = vec![0; body];
    tcp.read_exact(&mut bytes).expect("a body");
    bytes
}

fn post(tcp: &mut impl std::io::Write, body: &[u8]) {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tcp.write_all(head.as_bytes()).expect("send");
    tcp.write_all(body).expect("send");
}

#[test]
fn long_bodies_of_plain_connections_are_spliced_both_ways() {
    let backend = backend();
    let proxy = start(&backend, &[]).plain().start();
    let mut tcp = proxy.tcp();
    for round in 1..=3 {
        let mut writer = tcp.try_clone().expect("a second handle");
        let sender = thread::spawn(move || post(&mut writer, &pattern(LEN)));
        assert!(read_response(&mut tcp, LEN) == pattern(LEN));
        sender.join().expect("the sender");
        post(&mut tcp, b"short");
        assert_eq!(read_response(&mut tcp, 5), b"short");
        for (side, direction) in [("client", "rx"), ("client", "tx"), ("backend", "tx")] {
            assert!(is_most(spliced(&proxy, side, direction) / round));
        }
    }
    let line = proxy.logged(|line| line["bytes_in"] == LEN);
    assert_eq!(line["bytes_out"], LEN);
    assert_eq!(backend.connections(), 1);
}

/// A body of [`LEN`], in small pieces with time between them.
fn read_slowly(connection: &mut Connection) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LEN {
        thread::sleep(Duration::from_millis(1));
        let piece = connection.read((LEN - body.len()).min(8192));
        if piece.is_empty() {
            break;
        }
        body.extend(piece);
    }
    body
}

/// Takes what it is sent slower than anybody sends it: it reads in small pieces, has room for little and,
/// since segments are short, so has who sends to it. What stands behind its first request waits.
fn slow() -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = socket2::SockRef::from(&listener);
    socket.set_recv_buffer_size(8192).expect("an option");
    socket.set_tcp_mss(536).expect("an option");
    Backend::on(listener, |connection| {
        while let Some(head) = connection.head() {
            if head.starts_with("GET ") {
                thread::sleep(Duration::from_millis(300));
                connection.send(ok(b"first"));
                continue;
            }
            let is_whole = read_slowly(connection) == pattern(LEN);
            connection.send(ok(if is_whole { b"whole" } else { b"other" }));
        }
    })
}

/// A request, and an upload whose beginning is read ahead while the first is answered.
fn request_and_upload() -> Vec<u8> {
    let mut requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    post(&mut requests, &pattern(LEN));
    requests
}

#[test]
fn an_upload_is_spliced_although_its_backend_is_slow() {
    let backend = slow();
    let proxy = start(&backend, &[]).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(&request_and_upload()).expect("send");
    for answer in ["first", "whole"] {
        assert_eq!(read_response(&mut tcp, 5), answer.as_bytes());
    }
    let bytes = spliced(&proxy, "client", "rx");
    assert!(is_most(bytes), "{bytes}");
}

#[test]
fn what_our_own_engine_seals_is_not_spliced() {
    let backend = backend();
    let proxy = start(&backend, &["--offload", "user"]).start();
    let mut client = proxy.client();
    client.get("/long");
    assert!(client.response().body == pattern(LEN));
    assert_eq!(spliced(&proxy, "client", "tx"), 0);
    assert_eq!(spliced(&proxy, "backend", "rx"), 0);
}

#[test]
fn a_body_of_chunks_is_read_and_not_spliced() {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut body = Vec::new();
    for chunk in pattern(LEN).chunks(300_000) {
        write!(body, "{:x}\r\n", chunk.len()).expect("memory");
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    answer.extend_from_slice(&body);
    let backend = Backend::answering(answer);
    let proxy = start(&backend, &[]).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    assert!(read_response(&mut tcp, body.len()) == body);
    assert_eq!(spliced(&proxy, "client", "tx"), 0);
}

#[test]
fn tunnels_that_carry_much_are_spliced() {
    let backend = echo();
    let proxy = start(&backend, &["--protocol", "tcp"]).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(&pattern(4 * LEN)).expect("send");
    tcp.shutdown(Shutdown::Write).expect("an end");
    let mut back = Vec::new();
    tcp.read_to_end(&mut back).expect("all of it");
    assert!(back == pattern(4 * LEN));
    assert!(spliced(&proxy, "client", "rx") > LEN);
    assert!(spliced(&proxy, "client", "tx") > LEN);
    let line = proxy.logged(|line| line["protocol"] == "tcp");
    assert_eq!(line["bytes_in"], 4 * LEN);
    assert_eq!(line["bytes_out"], 4 * LEN);
}

/// Announces a body, and dies when half of it is sent.
fn dying() -> Backend {
    Backend::new(|connection| {
        if connection.head().is_some() {
            let whole = ok(&pattern(LEN));
            connection.send(&whole[..whole.len() / 2]);
        }
    })
}

#[test]
fn a_body_that_a_backend_cuts_is_cut_for_the_client() {
    let proxy = start(&dying(), &[]).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    let mut came = Vec::new();
    let error = tcp.read_to_end(&mut came).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(spliced(&proxy, "client", "tx") > 0);
    assert_eq!(proxy.logged_path("/cut")["error"], "backend-cut");
}

/// Serves a body of 64 MiB, and says at each MiB how many there were.
fn telling() -> (Backend, mpsc::Receiver<usize>) {
    let (tell, told) = mpsc::channel();
    let backend = Backend::new(move |connection| {
        while connection.head().is_some() {
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                64 << 20
            ));
            let piece = pattern(1 << 20);
            for mebibytes in 1..=64 {
                if !connection.try_send(&piece) {
                    return;
                }
                let _ = tell.send(mebibytes);
            }
        }
    });
    (backend, told)
}

#[test]
fn a_client_that_does_not_read_holds_its_backend_back() {
    let (backend, told) = telling();
    let proxy = start(&backend, &[]).plain().start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    // The sockets of two connections and one pipe: the sizes that they may grow to are the kernel's.
    let mut sent = 0;
    while let Ok(mebibytes) = told.recv_timeout(Duration::from_millis(500)) {
        sent = mebibytes;
    }
    assert!(sent < 40, "{sent} MiB wait somewhere");
    let body = read_response(&mut tcp, 64 << 20);
    assert!(body.chunks(1 << 20).all(|piece| piece == pattern(1 << 20)));
    assert_eq!(told.iter().take(64 - sent).last(), Some(64));
    assert!(spliced(&proxy, "client", "tx") > 0);
}

#[test]
fn a_client_that_goes_away_costs_nobody_else_anything() {
    let (long, _told) = telling();
    let proxy = start(&long, &["--workers", "1"]).plain().start();
    for _ in 0..20 {
        let mut tcp = proxy.tcp();
        tcp.write_all(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        read_response(&mut tcp, 2 << 20);
    }
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    let body = read_response(&mut tcp, 3 << 20);
    assert!(body.chunks(1 << 20).all(|piece| piece == pattern(1 << 20)));
    assert_eq!(proxy.logged_path("/gone")["error"], "client-cut");
    assert!(spliced(&proxy, "client", "tx") > 0);
}

const SUITES: [Suite; 3] = [Suite::Tls13Aes128, Suite::Tls12Aes256, Suite::Tls13ChaCha20];

fn connect(proxy: &Proxy, suite: Suite) -> Client {
    let mut config = proxy.certificates.client_config(suite);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Client::connect(proxy.address, config)
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn tls_moves_into_the_kernel_at_a_long_body() {
    let backend = backend();
    let proxy = start(&backend, &[]).start();
    let mut client = connect(&proxy, Suite::Tls12Aes128);
    for (path, engine) in [("/short", "user"), ("/long", "kernel")] {
        client.get(path);
        let response = client.response();
        assert_eq!(response.status, 200);
        assert_eq!(proxy.logged_path(path)["engine"], engine);
        if engine == "kernel" {
            assert!(response.body == pattern(LEN));
        }
    }
    assert!(is_most(spliced(&proxy, "client", "tx")));
    client.get("/after");
    assert_eq!(client.response().body, b"");
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn bodies_that_the_kernel_opens_and_seals_are_spliced_both_ways() {
    let backend = backend();
    for suite in SUITES {
        let proxy = start(&backend, &["--offload", "kernel"]).start();
        let mut client = connect(&proxy, suite);
        for _ in 0..2 {
            post(client.tls(), &pattern(LEN));
            assert!(client.response().body == pattern(LEN), "{suite:?}");
            post(client.tls(), b"short");
            assert_eq!(client.response().body, b"short");
        }
        for (side, direction) in [("client", "rx"), ("client", "tx")] {
            let bytes = spliced(&proxy, side, direction);
            assert!(
                is_most(bytes / 2),
                "{suite:?}: {bytes} of {side}, {direction}"
            );
        }
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn an_upload_that_the_kernel_opens_is_spliced_although_its_backend_is_slow() {
    let backend = slow();
    let proxy = start(&backend, &["--offload", "kernel"]).start();
    let mut client = connect(&proxy, Suite::Tls13Aes128);
    client.send(request_and_upload());
    for answer in ["first", "whole"] {
        assert_eq!(client.response().body, answer.as_bytes());
    }
    let bytes = spliced(&proxy, "client", "rx");
    assert!(is_most(bytes), "{bytes}");
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn tls_towards_backends_is_spliced_too() {
    let backend = backend();
    let far = start(&backend, &["--offload", "kernel"]).start();
    let ca = far.certificates.ca_file().display().to_string();
    let near = Start::new(format!("tls:localhost:{}", far.address.port()))
        .plain()
        .with(&[
            "--admin",
            "127.0.0.1:0",
            "--offload",
            "kernel",
            "--to-ca",
            &ca,
            // A handshake within an emulated CPU takes its time.
            "--connect-timeout",
            "30",
        ])
        .start();
    let mut tcp = near.tcp();
    for _ in 0..2 {
        let mut writer = tcp.try_clone().expect("a second handle");
        let sender = thread::spawn(move || post(&mut writer, &pattern(LEN)));
        assert!(read_response(&mut tcp, LEN) == pattern(LEN));
        sender.join().expect("the sender");
    }
    for proxy in [&near, &far] {
        assert!(is_most(spliced(proxy, "backend", "tx") / 2));
        assert!(is_most(spliced(proxy, "backend", "rx") / 2));
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn tunnels_of_the_kernel_engine_are_spliced_and_end_in_order() {
    let backend = echo();
    let proxy = start(&backend, &["--protocol", "tcp", "--offload", "kernel"]).start();
    let mut client = connect(&proxy, Suite::Tls12Aes128);
    client.send(pattern(LEN));
    crate::harness::close_notify(&mut client);
    let (rest, ended) = client.rest();
    ended.expect("close_notify");
    assert!(rest == pattern(LEN));
    assert!(spliced(&proxy, "client", "tx") > 0);
    let line = proxy.logged(|line| line["protocol"] == "tcp");
    assert_eq!(line["engine"], "kernel");
    assert_eq!(line["bytes_out"], LEN);
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_spliced_body_that_is_cut_does_not_end_with_close_notify() {
    let proxy = start(&dying(), &["--offload", "kernel"]).start();
    let mut client = connect(&proxy, Suite::Tls13Aes128);
    client.get("/cut");
    let (_, ended) = client.rest();
    assert!(ended.is_err(), "it looks complete");
    assert!(spliced(&proxy, "client", "tx") > 0);
    assert_eq!(proxy.logged_path("/cut")["error"], "backend-cut");
}

/// Sizes of the send buffers of new sockets, in bytes: least, first, most. Put back when dropped.
struct SendBuffers(String);

const SEND_BUFFERS: &str = "/proc/sys/net/ipv4/tcp_wmem";

impl SendBuffers {
    fn set(sizes: &str) -> Self {
        assert!(
            std::env::var_os("UNDERSEAL_VM_KERNEL").is_some(),
            "this test changes the machine it runs on: run it with `cargo xtask vm`"
        );
        let before = fs::read_to_string(SEND_BUFFERS).expect("the sizes");
        fs::write(SEND_BUFFERS, sizes).expect("to set them");
        Self(before)
    }
}

impl Drop for SendBuffers {
    fn drop(&mut self) {
        let _ = fs::write(SEND_BUFFERS, &self.0);
    }
}

/// Linux before 6.5 leaves in TCP's queue what a splice has not ended: where that is full of it nothing
/// would be sent again.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_client_that_reads_late_gets_a_body_spliced_into_a_small_buffer() {
    for sizes in ["4096 8192 8192", "4096 40000 40000"] {
        let _sizes = SendBuffers::set(sizes);
        let backend = backend();
        let proxy = start(&backend, &["--offload", "kernel"]).start();
        let mut client = connect(&proxy, Suite::Tls13Aes128);
        for _ in 0..2 {
            client.get("/long");
            thread::sleep(Duration::from_millis(300));
            assert!(client.response().body == pattern(LEN), "{sizes}");
        }
        assert!(is_most(spliced(&proxy, "client", "tx") / 2));
    }
}
