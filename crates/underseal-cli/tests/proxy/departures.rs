//! Clients of HTTP/1.1 that leave before they have their response.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use underseal_testkit::{BlackHole, PATIENCE};

use crate::backend::Backend;
use crate::harness::{Proxy, Start, close_notify};
use crate::running::wait_until;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

/// Where the backend is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before it accepts.
    Connecting,
    /// Before it responds.
    Head,
    /// Within its response.
    Events,
    /// Within the request, of which it takes no more.
    Upload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    Reset,
    End,
}

/// Waits until somebody tries to connect to the address: the kernel lists the sockets that do.
pub(crate) fn wait_for_attempt(address: SocketAddr) {
    const SYN_SENT: &str = "02";
    let port = format!(":{:04X}", address.port());
    wait_until("nobody connects", || {
        let sockets = fs::read_to_string("/proc/net/tcp").expect("the kernel's list");
        sockets.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(2);
            let peer = fields.next().unwrap_or_default();
            peer.ends_with(&port) && fields.next() == Some(SYN_SENT)
        })
    });
}

fn backend(phase: Phase) -> Backend {
    Backend::new(move |connection| {
        if connection.head().is_none() {
            return;
        }
        match phase {
            Phase::Events => connection.send(HEAD),
            // Nothing of it is read.
            Phase::Upload => thread::sleep(PATIENCE),
            Phase::Connecting | Phase::Head => {}
        }
        // Until the proxy ends the connection.
        connection.read(1);
    })
}

fn leave(tcp: &TcpStream, departure: Departure) {
    match departure {
        Departure::Reset => {
            let linger = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
            linger.expect("an option");
        }
        Departure::End => tcp.shutdown(Shutdown::Write).expect("shut down"),
    }
}

fn request(phase: Phase) -> Vec<u8> {
    let path = format!("{phase:?}");
    match phase {
        Phase::Upload => {
            let head =
                format!("POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
            [head.as_bytes(), &[b'x'; 200_000]].concat()
        }
        _ => format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
    }
}

/// Has a client ask, in plaintext or TLS, and leave once the proxy waits for the backend.
fn ask_and_leave(proxy: &Proxy, is_plain: bool, phase: Phase, departure: Departure) {
    let request = request(phase);
    let wait = || thread::sleep(Duration::from_millis(200));
    if is_plain {
        let mut tcp = proxy.tcp();
        tcp.write_all(&request).expect("send");
        if phase == Phase::Events {
            tcp.read_exact(&mut [0; 12]).expect("a response");
        }
        wait();
        leave(&tcp, departure);
        // Closing is what resets.
        if departure == Departure::End {
            std::mem::forget(tcp);
        }
        return;
    }
    let mut client = proxy.client();
    client.send(&request);
    if phase == Phase::Events {
        client.head();
    }
    wait();
    match departure {
        Departure::Reset => leave(client.tcp(), departure),
        Departure::End => {
            close_notify(&mut client);
            std::mem::forget(client);
        }
    }
}

#[test]
fn a_client_that_leaves_is_noticed_at_once_in_every_phase() {
    let hole = BlackHole::new();
    for phase in [Phase::Connecting, Phase::Head, Phase::Events, Phase::Upload] {
        for is_plain in [true, false] {
            for departure in [Departure::Reset, Departure::End] {
                let backend = backend(phase);
                let to = match phase {
                    Phase::Connecting => hole.address,
                    _ => backend.address,
                };
                let start =
                    Start::new(to).with(&["--connect-timeout", "60", "--max-connections", "1"]);
                let start = if is_plain { start.plain() } else { start };
                let proxy = start.start();
                ask_and_leave(&proxy, is_plain, phase, departure);
                let line = proxy.logged_path(&format!("/{phase:?}"));
                let case = format!("{phase:?} {departure:?} plain: {is_plain}");
                assert_eq!(line["error"], "client-cut", "{case}");
            }
        }
    }
}

#[test]
fn a_client_of_a_backend_of_http2_is_noticed_too() {
    let (backend, resets) = crate::http2_backends::silent();
    let proxy = Start::new(backend).with(&["--to-protocol", "h2"]).start();
    let mut client = proxy.client();
    client.get("/silent");
    thread::sleep(Duration::from_millis(200));
    leave(client.tcp(), Departure::Reset);
    drop(client);
    assert_eq!(proxy.logged_path("/silent")["error"], "client-cut");
    let reason = resets.recv_timeout(PATIENCE);
    assert_eq!(reason, Ok(h2::Reason::CANCEL));
}

#[test]
fn a_client_may_end_its_sending_where_that_is_allowed() {
    let backend = Backend::new(|connection| {
        connection.head();
        thread::sleep(Duration::from_millis(300));
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        connection.read(1);
    });
    let proxy = Start::new(backend.address)
        .plain()
        .with(&["--half-close"])
        .start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("send");
    tcp.shutdown(Shutdown::Write).expect("shut down");
    let mut text = String::new();
    tcp.read_to_string(&mut text).expect("a response");
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok"),
        "{text}"
    );
}

#[test]
fn requests_that_come_early_are_kept_for_their_turn() {
    let backend = Backend::new(|connection| {
        while connection.head().is_some() {
            thread::sleep(Duration::from_millis(100));
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let proxy = Start::new(backend.address).start();
    let mut client = proxy.client();
    client.get("/1");
    thread::sleep(Duration::from_millis(50));
    client.get("/2");
    client.get("/3");
    for _ in 0..3 {
        assert_eq!(client.response().text(), "ok");
    }
    let heads = backend.heads();
    let paths = heads.iter().filter_map(|head| head.split(' ').nth(1));
    assert_eq!(paths.collect::<Vec<_>>(), ["/1", "/2", "/3"]);
}

#[test]
fn a_listener_that_nobody_listens_to_accepts_nothing() {
    let hole = BlackHole::new();
    let wait = Duration::from_millis(100);
    TcpListener::bind(hole.address).expect_err("taken");
    TcpStream::connect_timeout(&hole.address, wait).expect_err("no connection");
}
