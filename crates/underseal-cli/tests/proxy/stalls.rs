//! Clients of HTTP/1.1 that leave while nobody reads what they send.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use underseal_testkit::{BlackHole, PATIENCE};

use crate::backend::Backend;
use crate::client::reset;
use crate::harness::Start;

/// A backend that reads nothing of a body, and has room for little.
fn stalling() -> Backend {
    Backend::with_small_buffer(|connection| {
        connection.head();
        thread::sleep(2 * PATIENCE);
    })
}

/// A proxy that waits for whom it may for longer than a test does.
fn patient(to: impl ToString) -> Start {
    Start::new(to)
        .with(&["--send-timeout", "300", "--response-timeout", "300"])
        .with(&["--connect-timeout", "300"])
}

/// Sends of a body until nobody takes any more.
fn fill(tcp: &TcpStream, mut sends: impl FnMut(&[u8]) -> bool) {
    let wait = Duration::from_millis(500);
    tcp.set_write_timeout(Some(wait)).expect("an option");
    let piece = vec![b'x'; 1 << 16];
    while sends(&piece) {}
}

/// Sends a request in plaintext whose body nobody takes, and resets.
fn stall_and_reset(mut tcp: TcpStream, head: &str, once_sent: impl FnOnce()) {
    tcp.write_all(head.as_bytes()).expect("send");
    once_sent();
    fill(&tcp.try_clone().expect("the same"), |piece| {
        tcp.write_all(piece).is_ok()
    });
    reset(tcp);
}

const LONG: &str = "PUT /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
const CHUNKED: &str =
    "PUT /stalled HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n";

#[test]
fn a_client_that_leaves_while_its_spliced_upload_stalls_is_noticed_too() {
    let backend = stalling();
    for options in [&[][..], &["--half-close"]] {
        let proxy = patient(backend.address).plain().with(options).start();
        // The bytes that come go through a pipe.
        stall_and_reset(proxy.tcp(), LONG, || {});
        let line = proxy.logged_path("/stalled");
        assert_eq!(line["error"], "client-cut", "{options:?}");
    }
}

#[test]
fn a_client_whose_bytes_nobody_has_room_for_is_noticed_too() {
    let (hole, backend) = (BlackHole::new(), stalling());
    let (silent, _resets) = crate::http2_backends::silent();
    for options in [&[][..], &["--half-close"]] {
        for (to, version, head) in [
            (hole.address, "http1", LONG),
            (backend.address, "http1", CHUNKED),
            (silent, "h2", LONG),
        ] {
            let start = patient(to).with(&["--to-protocol", version]);
            let proxy = start.plain().with(options).start();
            stall_and_reset(proxy.tcp(), head, || {});
            let line = proxy.logged_path("/stalled");
            assert_eq!(line["error"], "client-cut", "{to} {options:?}");
        }
    }
}

#[test]
fn a_client_of_tls_whose_bytes_nobody_has_room_for_is_noticed_too() {
    let backend = stalling();
    let proxy = patient(backend.address)
        .with(&["--offload", "user"])
        .start();
    let mut client = proxy.client();
    client.send(LONG);
    fill(&client.tcp().try_clone().expect("the same"), |piece| {
        client.try_send(piece).is_ok()
    });
    reset(client.tcp().try_clone().expect("the same"));
    drop(client);
    assert_eq!(proxy.logged_path("/stalled")["error"], "client-cut");
}

#[test]
fn a_client_is_noticed_where_no_descriptor_is_left() {
    let backend = stalling();
    let proxy = patient(backend.address).plain().start();
    stall_and_reset(proxy.tcp(), LONG, || {
        let deadline = Instant::now() + PATIENCE;
        while backend.heads().is_empty() {
            assert!(Instant::now() < deadline, "no request");
            thread::sleep(Duration::from_millis(10));
        }
        let pid = i32::try_from(proxy.peer.id()).ok().and_then(Pid::from_raw);
        let none = Rlimit {
            current: Some(3),
            ..getrlimit(Resource::Nofile)
        };
        prlimit(pid, Resource::Nofile, none).expect("a limit");
    });
    assert_eq!(proxy.logged_path("/stalled")["error"], "client-cut");
}

#[test]
fn a_client_that_has_ended_its_sending_may_still_reset() {
    let hole = BlackHole::new();
    let silent = Backend::new(|connection| {
        connection.head();
        connection.read(1);
    });
    for to in [hole.address, silent.address] {
        let proxy = patient(to).plain().with(&["--half-close"]).start();
        let mut tcp = proxy.tcp();
        tcp.write_all(b"GET /ended HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        tcp.shutdown(Shutdown::Write).expect("shut down");
        thread::sleep(Duration::from_millis(300));
        reset(tcp);
        assert_eq!(proxy.logged_path("/ended")["error"], "client-cut", "{to}");
    }
}
