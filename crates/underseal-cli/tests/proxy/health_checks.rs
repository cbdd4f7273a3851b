//! `--health-check`: backends that do not answer well are passed over until they do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::{Response, StatusCode};

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2_backends::http2_server;
use crate::judged::Version;

/// A backend that is ill until it is told otherwise, and how many requests it was sent beside checks.
struct Ill {
    address: SocketAddr,
    is_well: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Ill {
    fn start(version: Version) -> Self {
        let is_well = Arc::<AtomicBool>::default();
        let asked = Arc::<AtomicUsize>::default();
        let (wellness, count) = (Arc::clone(&is_well), Arc::clone(&asked));
        let status = move |path: &str| match (path, wellness.load(Ordering::SeqCst)) {
            ("/healthz?deep", false) => 503,
            ("/healthz?deep", true) => 204,
            _ => {
                count.fetch_add(1, Ordering::SeqCst);
                200
            }
        };
        let address = match version {
            Version::Http1 => {
                let backend = Backend::new(move |connection| {
                    while let Some(head) = connection.head() {
                        let status = status(head.split(' ').nth(1).expect("a path"));
                        connection
                            .send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
                    }
                });
                backend.address
            }
            Version::Http2 => {
                let status = Arc::new(status);
                http2_server(move |request, mut respond| {
                    let status = Arc::clone(&status);
                    async move {
                        let path = request.uri().path_and_query().expect("a path");
                        let mut answer = Response::new(());
                        let status = status(path.as_str());
                        *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
                        // The proxy may have gone.
                        let _ = respond.send_response(answer, true);
                    }
                })
            }
        };
        Self {
            address,
            is_well,
            asked,
        }
    }
}

fn proxy(ill: SocketAddr, well: SocketAddr, version: Version) -> Proxy {
    Start::new(ill)
        .plain()
        .with(&["--to", &well.to_string(), "--workers", "2"])
        .with(&["--health-check", "/healthz?deep"])
        .with(version.options())
        .start()
}

#[test]
fn a_backend_that_fails_its_check_is_passed_over_until_it_passes() {
    for version in Version::BOTH {
        let (ill, well) = (Ill::start(version), Ill::start(version));
        well.is_well.store(true, Ordering::SeqCst);
        let proxy = proxy(ill.address, well.address, version);
        let name = ill.address.to_string();
        let said = format!("backend {name} fails its health check: 503");
        proxy.peer.wait_for(&said);
        for client in Version::BOTH {
            for _ in 0..4 {
                assert_eq!(client.get(proxy.address, &[]), 200, "{version:?}");
            }
        }
        assert_eq!(ill.asked.load(Ordering::SeqCst), 0, "{version:?}");
        assert_eq!(well.asked.load(Ordering::SeqCst), 8, "{version:?}");
        ill.is_well.store(true, Ordering::SeqCst);
        let said = format!("backend {name} passes its health check again");
        proxy.peer.wait_for(&said);
        for _ in 0..8 {
            assert_eq!(Version::Http1.get(proxy.address, &[]), 200);
        }
        assert!(ill.asked.load(Ordering::SeqCst) > 0, "{version:?}");
    }
}

#[test]
fn where_no_backend_passes_its_check_they_are_asked_all_the_same() {
    let ill = Ill::start(Version::Http1);
    let proxy = proxy(ill.address, ill.address, Version::Http1);
    let said = format!("backend {} fails its health check: 503", ill.address);
    proxy.peer.wait_for(&said);
    assert_eq!(Version::Http1.get(proxy.address, &[]), 200);
}

#[test]
fn a_connection_that_does_not_answer_is_not_asked_again() {
    let asked = Arc::<AtomicUsize>::default();
    let backend = http2_server(move |_, mut respond| {
        let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        // Its connection never answers; those after it do.
        let answers = !is_first && respond.stream_id().as_u32() == 1;
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            // The proxy may have gone.
            let _ = respond.send_response(Response::new(()), true);
        }
    });
    let proxy = Start::new(backend)
        .plain()
        .with(&["--health-check", "/"])
        .with(Version::Http2.options())
        .start();
    let said = format!("backend {backend} fails its health check: backend-timeout");
    proxy.peer.wait_for(&said);
    let said = format!("backend {backend} passes its health check again");
    proxy.peer.wait_for(&said);
}

#[test]
fn a_path_that_nobody_can_ask_for_is_a_wrong_command_line() {
    for options in [
        &["--health-check", "healthz"][..],
        &["--health-check", "/a b"],
        &["--health-check", "/healthz", "--protocol", "tcp"],
    ] {
        let start = Start::new("127.0.0.1:9").plain().with(options);
        let (said, code) = start.refused();
        assert_eq!(code, Some(2), "{options:?}: {said}");
        assert!(said.contains("hint: "), "{options:?}: {said}");
    }
}
