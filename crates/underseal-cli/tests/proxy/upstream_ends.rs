//! When connections to backends end: with whom they speak for, and where nobody uses them again.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use underseal_testkit::PATIENCE;

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::{get_head, runtime};
use crate::http2_frames::frame;
use crate::judged::Version;

/// A server of HTTP/2, which tells of each connection that has ended. It `answers`, or waits for ever.
fn told(answers: bool, header: usize) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, told) = channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let tcp = tcp.expect("a connection");
            tcp.set_nonblocking(true).expect("an option");
            runtime().block_on(async {
                let mut tcp = tokio::net::TcpStream::from_std(tcp).expect("a stream");
                tcp.read_exact(&mut vec![0; header])
                    .await
                    .expect("a header");
                let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
                let mut unanswered = Vec::new();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    if !answers {
                        unanswered.push(respond);
                        continue;
                    }
                    let answer = http::Response::new(());
                    respond.send_response(answer, true).expect("send");
                }
            });
            // The test may be over.
            let _ = tell.send(());
        }
    });
    (address, told)
}

/// Bytes of the PROXY protocol's header, of version 2 and with addresses of IPv4.
const PROXY_HEADER: usize = 28;

/// One that others share is kept for a minute.
#[test]
fn a_connection_that_speaks_for_one_client_ends_with_it() {
    for client in Version::BOTH {
        let (backend, told) = told(true, PROXY_HEADER);
        let proxy = Start::new(backend)
            .plain()
            .with(&["--send-proxy", "--to-protocol", "h2"])
            .start();
        assert_eq!(client.get(proxy.address, &[]), 200, "{client:?}");
        let ended = told.recv_timeout(PATIENCE);
        ended.unwrap_or_else(|_| panic!("{client:?} is spoken for"));
    }
}

/// It would be kept for a minute, too, although nobody uses it again.
#[test]
fn a_connection_on_which_nothing_is_answered_ends_with_its_last_stream() {
    for client in Version::BOTH {
        let (backend, told) = told(false, 0);
        let proxy = Start::new(backend)
            .plain()
            .with(&["--to-protocol", "h2", "--response-timeout", "1"])
            .start();
        assert_eq!(client.get(proxy.address, &[]), 504, "{client:?}");
        let ended = told.recv_timeout(PATIENCE);
        ended.unwrap_or_else(|_| panic!("{client:?}: it is kept"));
    }
}

/// Has a client ask, end what it has to say in its version, and stay: it is heard out then.
fn ask_and_stay(proxy: &Proxy, client: Version) -> TcpStream {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    /// Of the stream and of its fields.
    const ENDS: u8 = 5;
    let mut tcp = proxy.tcp();
    let request = match client {
        Version::Http1 => b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        Version::Http2 => [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            &frame(SETTINGS, 0, 0, b""),
            &frame(HEADERS, ENDS, 1, &get_head()),
        ]
        .concat(),
    };
    tcp.write_all(&request).expect("send");
    let line = proxy.logged(|line| line["status"] == 200);
    assert!(line["error"].is_null(), "{line}");
    if client == Version::Http2 {
        tcp.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).expect("send");
    }
    tcp
}

/// How many connections the proxy has: of clients, and to backends.
fn connections(proxy: &Proxy) -> [String; 2] {
    let metrics = proxy.admin("/metrics");
    ["client", "backend"].map(|side| {
        let series = format!("underseal_connections{{side=\"{side}\"}} ");
        let (_, rest) = metrics.split_once(&series).expect("a series");
        rest.lines().next().unwrap_or_default().to_owned()
    })
}

/// Whether the connection to the backend is seen to be gone while its client is heard out.
fn ends_before_its_client(client: Version, backend: Version) -> bool {
    let address = match backend {
        Version::Http2 => told(true, PROXY_HEADER).0,
        Version::Http1 => {
            let backend = Backend::new(|connection| {
                connection.read(PROXY_HEADER);
                while connection.head().is_some() {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
            backend.address
        }
    };
    let proxy = Start::new(address)
        .plain()
        .with(&["--send-proxy", "--admin", "127.0.0.1:0"])
        .with(backend.options())
        .start();
    let _stays = ask_and_stay(&proxy, client);
    is_seen_without_backend(&proxy)
}

/// Whether the one client is still there when nothing leads to a backend any more.
fn is_seen_without_backend(proxy: &Proxy) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let [of_client, to_backend] = connections(proxy);
        if to_backend == "0" {
            return of_client == "1";
        }
        assert!(Instant::now() < deadline, "{to_backend} to the backend");
    }
}

/// The same of a request that runs, of a client of HTTP/2 that is told that its connection is over.
fn request_ends_before_its_client() -> bool {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const ENDS: u8 = 5;
    let silent = Backend::new(|connection| {
        connection.head();
        connection.read(1);
    });
    let proxy = Start::new(silent.address)
        .plain()
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let mut tcp = proxy.tcp();
    let request = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, 0, b""),
        &frame(HEADERS, ENDS, 1, &get_head()),
    ];
    tcp.write_all(&request.concat()).expect("send");
    let deadline = Instant::now() + PATIENCE;
    while silent.heads().is_empty() {
        assert!(Instant::now() < deadline, "no request");
        thread::sleep(Duration::from_millis(5));
    }
    // Data of no stream is an error of the connection's (RFC 9113 section 6.1).
    tcp.write_all(&frame(DATA, 0, 0, b"data")).expect("send");
    is_seen_without_backend(&proxy)
}

#[test]
fn requests_of_a_client_that_is_told_to_go_end_before_it_is_heard_out() {
    assert!((0..5).any(|_| request_ends_before_its_client()));
}

#[test]
fn what_speaks_for_a_client_ends_before_the_client_is_heard_out() {
    for client in Version::BOTH {
        for backend in Version::BOTH {
            // Who looks late, because the machine stalls, sees neither.
            let is_seen = (0..5).any(|_| ends_before_its_client(client, backend));
            assert!(is_seen, "{client:?} {backend:?}");
        }
    }
}
