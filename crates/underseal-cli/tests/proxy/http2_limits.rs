//! Backends of HTTP/2 that take few streams, or none.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use http::Response;
use rustix::process::Signal;
use tokio::sync::Semaphore;
use underseal_testkit::{Certificates, KeyType};

use crate::backend::Backend;
use crate::departures::BlackHole;
use crate::harness::{Proxy, Start};
use crate::http2::{frame, tls_h2_backend};
use crate::http2_backends::{good_backend, limited_server};
use crate::judged::Version;
use crate::tls::tls_backend;

const SETTINGS: u8 = 4;
const ACK: u8 = 1;

/// A backend that takes `most` streams of each connection, and answers once there are `all` of them.
fn limited(most: u32, all: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(most);
    let begun = Arc::new(Semaphore::new(0));
    limited_server(builder, move |_, mut respond| {
        let begun = Arc::clone(&begun);
        async move {
            begun.add_permits(1);
            let number = u32::try_from(all).expect("few");
            // They are all there, and stay.
            drop(begun.acquire_many(number).await);
            // The proxy may have gone.
            let _ = respond.send_response(Response::new(()), true);
        }
    })
}

/// The statuses of so many requests at once.
fn ask(proxy: &Proxy, version: Version, count: usize) -> Vec<u16> {
    thread::scope(|scope| {
        let ask = || version.get(proxy.address, &[]);
        let asking: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
        let asked = asking.into_iter().map(|asked| asked.join());
        asked.map(|status| status.expect("a status")).collect()
    })
}

#[test]
fn a_connection_gets_no_more_streams_than_its_backend_takes() {
    for version in Version::BOTH {
        for (most, count) in [(1, 5), (10, 30)] {
            let (address, connections) = limited(most, count);
            let proxy = Start::new(address)
                .plain()
                .with(&["--to-protocol", "h2", "--workers", "1"])
                .start();
            assert_eq!(ask(&proxy, version, count), vec![200; count]);
            let connections = connections.load(Ordering::SeqCst);
            let least = count / usize::try_from(most).expect("few");
            assert_eq!(connections, least, "{version:?} {most}");
        }
    }
}

#[test]
fn a_backend_that_takes_no_stream_is_not_asked_for_another_connection() {
    let (address, connections) = limited(0, 1);
    let proxy = Start::new(address)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .with(&["--connect-timeout", "1", "--health-check", "/"])
        .start();
    for version in Version::BOTH {
        assert_eq!(ask(&proxy, version, 4), [504; 4], "{version:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    proxy.logged(|line| line["protocol"] == "h2" && line["error"] == "backend-timeout");
}

/// A backend that at first takes no stream, and one of each connection a while later; it answers.
fn hesitant() -> SocketAddr {
    const MAX_CONCURRENT_STREAMS: u8 = 3;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let most = |most: u8| frame(SETTINGS, 0, 0, &[0, MAX_CONCURRENT_STREAMS, 0, 0, 0, most]);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            let _ = tcp.write_all(&most(0));
            let raised = tcp.try_clone().expect("a second handle");
            thread::spawn(move || serve_frames(tcp));
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(300));
                let _ = (&raised).write_all(&most(1));
            });
        }
    });
    address
}

/// Answers each request until the connection ends; `None` is that.
fn serve_frames(mut tcp: TcpStream) -> Option<()> {
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const STATUS_200: &[u8] = &[0x88];
    tcp.read_exact(&mut [0; 24]).ok()?;
    loop {
        let mut head = [0; 9];
        tcp.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("short");
        tcp.read_exact(&mut vec![0; length]).ok()?;
        let answer = match kind {
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, b""),
            HEADERS => {
                let stream = u32::from_be_bytes(stream);
                frame(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
            }
            _ => continue,
        };
        tcp.write_all(&answer).ok()?;
    }
}

#[test]
fn a_request_waits_until_its_backend_takes_another_stream() {
    let proxy = Start::new(hesitant())
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .with(&["--connect-timeout", "30"])
        .start();
    for version in Version::BOTH {
        assert_eq!(ask(&proxy, version, 3), [200; 3], "{version:?}");
    }
}

#[test]
fn the_end_of_the_proxy_is_not_the_backends_fault() {
    // One request waits for a connection, and the other for the same, or both for a stream.
    let (silent, (full, _connections)) = (BlackHole::new(), limited(0, 1));
    for address in [silent.address, full] {
        let proxy = Start::new(address)
            .plain()
            .with(&["--to-protocol", "h2", "--workers", "1"])
            .with(&["--connect-timeout", "60"])
            .start();
        let paths = ["/one", "/other"];
        let _clients = paths.map(|path| {
            let mut tcp = proxy.tcp();
            write!(tcp, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
            tcp
        });
        // Nothing tells that they wait.
        thread::sleep(Duration::from_millis(500));
        proxy.signal(Signal::TERM);
        proxy.peer.wait_for("shutting down");
        proxy.signal(Signal::TERM);
        for path in paths {
            assert_eq!(proxy.logged_path(path)["error"], "proxy-ended");
        }
    }
}

/// Those that do not speak HTTP/2 take no connection for it.
#[test]
fn a_backend_that_does_not_speak_http2_is_passed_over() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let ca = certificates.ca_file().display().to_string();
    let tls = |address: SocketAddr| format!("tls:localhost:{}", address.port());
    let http1 = Backend::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    for (wrong, right) in [
        (
            tls(tls_backend(&certificates)),
            tls(tls_h2_backend(&certificates)),
        ),
        (http1.address.to_string(), good_backend().to_string()),
    ] {
        let proxy = Start::new(&wrong)
            .plain()
            .with(&["--to", &right, "--to-protocol", "h2", "--workers", "1"])
            .with(&["--to-ca", &ca, "--admin", "127.0.0.1:0"])
            .start();
        for _ in 0..4 {
            assert_eq!(Version::Http1.get(proxy.address, &[]), 200, "{wrong}");
        }
        let metrics = proxy.admin("/metrics");
        let name = wrong.trim_start_matches("tls:");
        let failure = format!("{{backend=\"{name}\",kind=\"handshake\"}}");
        assert!(metrics.contains(&failure), "{metrics}");
    }
}
