//! Clients of HTTP/2 that others wrote: nghttp and h2load, over TLS where ALPN chooses HTTP/2, and in
//! plaintext where they know beforehand that it is spoken.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::NamedTempFile;
use underseal_testkit::{Finished, Peer, SERVER_NAME, require_program};

use crate::backend::Backend;
use crate::harness::{Proxy, Start};
use crate::http2::h2_backend;

/// How a client comes to speak HTTP/2.
#[derive(Clone, Copy, Debug)]
enum By {
    Alpn,
    PriorKnowledge,
}

const BOTH: [By; 2] = [By::Alpn, By::PriorKnowledge];

impl By {
    /// A proxy for such clients.
    fn proxy(self, backend: SocketAddr, options: &[&str]) -> Proxy {
        let start = Start::new(backend).with(options);
        match self {
            Self::Alpn => start.start(),
            Self::PriorKnowledge => start.plain().start(),
        }
    }

    fn url(self, proxy: &Proxy, path: &str) -> String {
        let scheme = match self {
            Self::Alpn => "https",
            Self::PriorKnowledge => "http",
        };
        format!("{scheme}://{SERVER_NAME}:{}{path}", proxy.address.port())
    }

    fn nghttp(self, proxy: &Proxy, options: &[&str], path: &str) -> Finished {
        let mut command = Command::new(require_program("nghttp"));
        // It says so, at most, where a certificate is not good.
        command.args(["--no-verify-peer", "--timeout=60"]);
        command.args(options).arg(self.url(proxy, path));
        Peer::spawn(&mut command).finish().successful()
    }

    /// 2 000 requests over four connections of ten streams.
    fn h2load(self, proxy: &Proxy) -> String {
        let mut command = Command::new(require_program("h2load"));
        command.args(["-n", "2000", "-c", "4", "-m", "10"]);
        command.arg(format!("--connect-to={}", proxy.address));
        command.arg(self.url(proxy, "/load"));
        Peer::spawn(&mut command).finish().successful().text()
    }
}

fn file(content: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), content).expect("write");
    file
}

fn data(file: &NamedTempFile) -> String {
    format!("--data={}", file.path().display())
}

/// Gives bodies back.
fn mirror() -> Backend {
    Backend::new(|connection| {
        while let Some((_, body)) = connection.request() {
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ));
            connection.send(body);
        }
    })
}

#[test]
fn nghttp_gets_with_a_body() {
    for by in BOTH {
        let proxy = by.proxy(Backend::echo().address, &[]);
        let body = file(b"why");
        let options = [&data(&body), "--header=:method: GET"];
        let said = by.nghttp(&proxy, &options, "/a/./b?c").text();
        assert!(
            said.starts_with("GET /a/./b?c HTTP/1.1\r\n"),
            "{by:?}: {said}"
        );
        assert!(said.ends_with("\r\n\r\nwhy"), "{by:?}: {said}");
        let line = proxy.logged_path("/a/./b?c");
        let logged = (&line["protocol"], &line["status"], &line["bytes_in"]);
        assert_eq!(logged, (&"h2".into(), &200.into(), &3.into()), "{by:?}");
    }
}

#[test]
fn nghttp_uploads() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let upload = file(&content);
    for by in BOTH {
        for (backend, options) in [
            (mirror().address, &[][..]),
            (h2_backend(), &["--to-protocol", "h2"]),
        ] {
            let proxy = by.proxy(backend, options);
            let back = by.nghttp(&proxy, &[&data(&upload)], "/up").stdout;
            assert!(back == content, "{by:?} {options:?}: {} bytes", back.len());
            assert_eq!(proxy.logged_path("/up")["method"], "POST");
        }
    }
}

#[test]
fn nghttp_sends_and_gets_trailers() {
    let body = file(b"message");
    let options = [
        &data(&body),
        "--trailer=x-sum: 7",
        "--header=te: trailers",
        "--verbose",
    ];
    for by in BOTH {
        let proxy = by.proxy(h2_backend(), &["--to-protocol", "h2"]);
        let said = by.nghttp(&proxy, &options, "/echo").text();
        let came: Vec<_> = said
            .lines()
            .filter(|line| line.contains("recv ("))
            .collect();
        for field in ["x-sum: 7", "grpc-status: 0"] {
            let found = came.iter().any(|line| line.ends_with(field));
            assert!(found, "{by:?}: no {field} in {said}");
        }
    }
}

#[test]
fn trailers_of_nghttp_reach_a_backend_of_http1() {
    let body = file(b"message");
    let options = [&data(&body), "--trailer=x-sum: 7", "--no-content-length"];
    for by in BOTH {
        // It says a body as it was framed.
        let proxy = by.proxy(Backend::echo().address, &[]);
        let said = by.nghttp(&proxy, &options, "/").text();
        let framed = "\r\n\r\n7\r\nmessage\r\n0\r\nx-sum: 7\r\n\r\n";
        assert!(said.ends_with(framed), "{by:?}: {said}");
    }
}

#[test]
fn h2load_is_answered_every_time() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for by in BOTH {
        for (backend, options) in [
            (backend.address, &[][..]),
            (h2_backend(), &["--to-protocol", "h2"]),
        ] {
            let proxy = by.proxy(backend, options);
            let said = by.h2load(&proxy);
            let protocol = match by {
                By::Alpn => "Application protocol: h2\n",
                By::PriorKnowledge => "Application protocol: h2c\n",
            };
            for wanted in [
                protocol,
                "2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout\n",
                "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx\n",
            ] {
                assert!(said.contains(wanted), "{by:?} {options:?}: {said}");
            }
        }
    }
}
