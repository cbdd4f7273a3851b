//! Backends of HTTP/2 that take few streams, or none.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use http::Response;
use rustix::process::Signal;
use tokio::sync::Semaphore;
use underseal_testkit::{BlackHole, Certificates, KeyType, PATIENCE};

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::tls_h2_backend;
use crate::http2_backends::{good_backend, limited_server};
use crate::http2_frames::{
    ACK, END_HEADERS, END_STREAM, GOAWAY, HEADERS, SETTINGS, STATUS_200, Sent, frame, serve_frames,
};
use crate::judged::Version;
use crate::running::wait_until;
use crate::tls::tls_backend;

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
        .with(&["--connect-timeout", "5", "--health-check", "/"])
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    thread::scope(|scope| {
        for version in Version::BOTH {
            let proxy = &proxy;
            scope.spawn(move || assert_eq!(ask(proxy, version, 4), [504; 4], "{version:?}"));
        }
    });
    // The health check does not wait for that of the requests.
    assert!(connections.load(Ordering::SeqCst) <= 2);
    proxy.logged(|line| line["protocol"] == "h2" && line["error"] == "backend-timeout");
    let why = "gave no connection, or no stream, in time";
    let told = format!("backend {address}: backend-timeout: {why}");
    proxy.peer.wait_for(&told);
    let counted =
        format!("underseal_backend_errors_total{{backend=\"{address}\",kind=\"timeout\"}} 8\n");
    let metrics = proxy.admin("/metrics");
    assert!(metrics.contains(&counted), "{metrics}");
}

#[test]
fn a_request_goes_past_a_backend_that_takes_no_stream() {
    let (address, _connections) = limited(0, 1);
    let proxy = Start::new(address)
        .plain()
        .with(&["--to", &good_backend().to_string()])
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .with(&["--connect-timeout", "1"])
        .start();
    for version in Version::BOTH {
        assert_eq!(ask(&proxy, version, 4), [200; 4], "{version:?}");
    }
}

/// A backend that does `each` with its connections, of which it gets the number, and says at first that it
/// takes so many streams.
fn by_frames(most: u8, each: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let each = Arc::new(each);
    thread::spawn(move || {
        for (number, tcp) in listener.incoming().enumerate() {
            let mut tcp = tcp.expect("a connection");
            let _ = tcp.write_all(&takes(most));
            let each = Arc::clone(&each);
            thread::spawn(move || each(number, tcp));
        }
    });
    address
}

/// SETTINGS that allow so many streams.
fn takes(most: u8) -> Vec<u8> {
    const MAX_CONCURRENT_STREAMS: u8 = 3;
    frame(SETTINGS, 0, 0, &[0, MAX_CONCURRENT_STREAMS, 0, 0, 0, most])
}

/// The end of a connection for streams after `last`.
fn goaway(last: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0])
}

/// What a backend says that answers each request.
fn well(sent: Sent) -> Vec<u8> {
    match sent.kind {
        HEADERS => frame(HEADERS, END_HEADERS | END_STREAM, sent.stream, STATUS_200),
        _ => Vec::new(),
    }
}

#[test]
fn a_connection_that_only_ends_its_streams_holds_nobody_up() {
    for version in Version::BOTH {
        let (tell, told) = channel();
        let address = by_frames(1, move |number, tcp| {
            let tell = tell.clone();
            serve_frames(tcp, |sent| match sent.kind {
                HEADERS if number == 0 => {
                    tell.send(()).expect("the test goes on");
                    // The first request's stream stays.
                    [takes(0), goaway(1)].concat()
                }
                _ => well(sent),
            });
        });
        let proxy = Start::new(address)
            .plain()
            .with(&["--to-protocol", "h2", "--workers", "1"])
            .with(&["--connect-timeout", "5"])
            .start();
        let mut long = proxy.tcp();
        long.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        told.recv_timeout(PATIENCE).expect("a request");
        assert_eq!(ask(&proxy, version, 3), [200; 3], "{version:?}");
    }
}

#[test]
fn a_backend_that_ends_connections_without_a_stream_is_not_asked_for_ever() {
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    let address = by_frames(0, move |_, tcp| {
        counted.fetch_add(1, Ordering::SeqCst);
        serve_frames(tcp, |sent| match sent.kind {
            // It has been heard that there are no streams.
            SETTINGS if sent.flags & ACK != 0 => goaway(0),
            _ => well(sent),
        });
    });
    let proxy = Start::new(address)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .start();
    for (version, count) in Version::BOTH.into_iter().zip(1..) {
        assert_eq!(version.get(proxy.address, &[]), 503, "{version:?}");
        assert_eq!(connections.load(Ordering::SeqCst), count, "{version:?}");
    }
}

#[test]
fn nobody_waits_for_a_health_check() {
    let (tell, told) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let _silent = listener.accept().expect("the check's connection");
        tell.send(()).expect("the test goes on");
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            tcp.write_all(&takes(9)).expect("send");
            thread::spawn(move || serve_frames(tcp, well));
        }
    });
    let proxy = Start::new(address)
        .plain()
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .with(&["--connect-timeout", "2", "--health-check", "/"])
        .start();
    told.recv_timeout(PATIENCE).expect("a check");
    assert_eq!(ask(&proxy, Version::Http1, 3), [200; 3]);
}

/// A backend that at first takes no stream, and one of each connection a while later; it answers.
fn hesitant() -> SocketAddr {
    by_frames(0, |_, tcp| {
        let raised = tcp.try_clone().expect("a second handle");
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            let _ = (&raised).write_all(&takes(1));
        });
        serve_frames(tcp, well);
    })
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
            .with(&["--connect-timeout", "60", "--admin", "127.0.0.1:0"])
            .policy("{ rules: [{}] }")
            .start();
        let paths = ["/one", "/other"];
        let _clients = paths.map(|path| {
            let mut tcp = proxy.tcp();
            write!(tcp, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
            tcp
        });
        // What is allowed waits at once.
        let allowed = "policy=\"orders\",rule=\"0\",action=\"ALLOW\"} 2\n";
        wait_until("no two requests", || {
            proxy.admin("/metrics").contains(allowed)
        });
        proxy.signal(Signal::TERM);
        proxy.peer.wait_for("shutting down");
        proxy.signal(Signal::TERM);
        for path in paths {
            assert_eq!(proxy.logged_path(path)["error"], "proxy-ended");
        }
    }
}

/// Who waits behind it learns of that, and does not find it out once more.
#[test]
fn one_of_those_who_wait_for_a_backend_finds_out_that_it_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let bad = listener.local_addr().expect("an address");
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    let (fail, failing) = channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let tcp = tcp.expect("a connection");
            // Until all wait; then it is the end of each connection at once.
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                failing.recv().expect("the test goes on");
            }
            drop(tcp);
        }
    });
    let proxy = Start::new(format!("tls:127.0.0.1:{}", bad.port()))
        .plain()
        .with(&["--to", &good_backend().to_string()])
        .with(&["--to-protocol", "h2", "--workers", "1"])
        .with(&["--connect-timeout", "60", "--admin", "127.0.0.1:0"])
        .with(&["--direction", "ingress"])
        .policy("{ rules: [{}] }")
        .start();
    let count = 24;
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&proxy, Version::Http1, count));
        let allowed = format!("policy=\"orders\",rule=\"0\",action=\"ALLOW\"}} {count}\n");
        wait_until("not all ask", || proxy.admin("/metrics").contains(&allowed));
        fail.send(()).expect("it waits");
        assert_eq!(asking.join().expect("statuses"), vec![200; count]);
    });
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let counted =
        format!("underseal_backend_errors_total{{backend=\"{bad}\",kind=\"handshake\"}} 1\n");
    let metrics = proxy.admin("/metrics");
    assert!(metrics.contains(&counted), "{metrics}");
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
        let mut start = Start::new(&wrong)
            .plain()
            .with(&["--to", &right, "--to-protocol", "h2", "--workers", "1"])
            .with(&["--admin", "127.0.0.1:0"]);
        if wrong.starts_with("tls:") {
            start = start.with(&["--to-ca", &ca]);
        }
        let proxy = start.start();
        for _ in 0..4 {
            assert_eq!(Version::Http1.get(proxy.address, &[]), 200, "{wrong}");
        }
        let metrics = proxy.admin("/metrics");
        let name = wrong.trim_start_matches("tls:");
        let failure = format!("{{backend=\"{name}\",kind=\"handshake\"}}");
        assert!(metrics.contains(&failure), "{metrics}");
    }
}
