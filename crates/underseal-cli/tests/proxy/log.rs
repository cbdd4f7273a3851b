//! What the access log says of answers that are the proxy's own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::Value;

use crate::backend::Backend;
use crate::departures::wait_for_attempt;
use crate::harness::{Proxy, Start};
use crate::http2::runtime;

const ONLY_GET: &str = "{ rules: [{ to: [{ operation: { methods: [GET, HEAD] } }] }] }";

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address")
}

fn silent() -> Backend {
    Backend::new(|connection| while connection.head().is_some() {})
}

/// Sends a request, and holds what the log says against the body of the answer.
fn expect_counted(proxy: &Proxy, request: &str, status: u16) {
    let mut client = proxy.client();
    client.send(request);
    let response = client.response();
    assert_eq!(response.status, status, "{request}");
    assert!(!response.body.is_empty(), "{request}");
    let line = proxy.logged(|line| line["status"] == status);
    assert_eq!(line["bytes_out"], response.body.len(), "{line}");
}

#[test]
fn bodies_of_the_proxy_s_own_are_counted() {
    let refusing = Start::new(Backend::echo().address)
        .policy(ONLY_GET)
        .with(&["--header-timeout", "0.3"])
        .start();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(99_000)
    );
    for (request, status) in [
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 403),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost", 408),
        (&long, 431),
    ] {
        expect_counted(&refusing, request, status);
    }
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    expect_counted(&Proxy::start(nobody()), get, 503);
    let malformed = Backend::answering("nonsense\r\n\r\n");
    expect_counted(&Proxy::start(malformed.address), get, 502);
    let silent = silent();
    let impatient = Start::new(silent.address).with(&["--response-timeout", "0.3"]);
    expect_counted(&impatient.start(), get, 504);
}

#[test]
fn an_answer_to_head_has_no_bytes() {
    let proxy = Proxy::start(nobody());
    let mut client = proxy.client();
    client.send("HEAD /gone HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 503);
    assert_eq!(proxy.logged_path("/gone")["bytes_out"], 0);
    let head = ["--http2", "--head", "--no-fail"];
    proxy.curl(&head, "/over-h2").successful();
    assert_eq!(proxy.logged_path("/over-h2")["bytes_out"], 0);
}

#[test]
fn bodies_of_the_proxy_s_own_are_counted_over_http2() {
    let curl = |proxy: &Proxy, options: &[&str]| -> (usize, Value) {
        let options = [&["--http2", "--no-fail"], options].concat();
        let body = proxy.curl(&options, "/h2").successful().stdout;
        (body.len(), proxy.logged_path("/h2"))
    };
    let denying = Start::new(Backend::echo().address).policy(ONLY_GET).start();
    let silent = silent();
    let impatient = Start::new(silent.address).with(&["--response-timeout", "0.3"]);
    for (proxy, options, status) in [
        (denying, &["-X", "PUT"][..], 403),
        (Proxy::start(nobody()), &[], 503),
        (impatient.start(), &[], 504),
    ] {
        let (length, line) = curl(&proxy, options);
        assert_eq!(
            (&line["protocol"], &line["status"]),
            (&"h2".into(), &status.into())
        );
        assert!(length > 0, "{line}");
        assert_eq!(line["bytes_out"], length, "{line}");
    }
}

#[test]
fn no_backend_is_said_to_have_sent_them() {
    let silent = silent();
    let proxy = Start::new(silent.address)
        .with(&["--response-timeout", "0.3", "--admin", "127.0.0.1:0"])
        .start();
    let mut client = proxy.client();
    client.get("/silent");
    let length = client.response().body.len();
    let line = proxy.logged_path("/silent");
    assert_eq!(line["backend"], silent.address.to_string());
    let metrics = proxy.admin("/metrics");
    for (side, direction, bytes) in [("client", "tx", length), ("backend", "rx", 0)] {
        let series =
            format!("underseal_bytes_total{{side=\"{side}\",direction=\"{direction}\"}} {bytes}\n");
        assert!(metrics.contains(&series), "{series} is not in {metrics}");
    }
}

#[test]
fn a_refused_request_is_logged_as_far_as_it_came() {
    let start = Start::new(nobody()).with(&["--header-timeout", "1"]);
    let proxy = start.start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000));
    for (head, status, error, seen) in [
        (
            "GET /%zz?q HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "refused:path-percent",
            ["GET", "/%zz?q", "a"],
        ),
        (
            "GET / HTTP/1.1\nHost: a\n\n",
            400,
            "refused:bare-line-feed",
            ["GET", "/", "a"],
        ),
        (
            "PUT /cut HTTP/1.1\r\nHost: b\r\nX",
            408,
            "client-timeout",
            ["PUT", "/cut", "b"],
        ),
        (&long, 414, "refused:target-too-long", ["GET", "", ""]),
    ] {
        assert_eq!(proxy.status(head), status, "{head:.40}");
        let line = proxy.logged(|line| line["error"] == error);
        for (field, seen) in ["method", "path", "host"].into_iter().zip(seen) {
            if !seen.is_empty() {
                assert_eq!(line[field], seen, "{line}");
            }
        }
    }
    let options = ["--http2", "--no-fail", "--path-as-is"];
    proxy.curl(&options, "/over%zzh2").successful();
    let line = proxy.logged_path("/over%zzh2");
    assert_eq!(
        (&line["method"], &line["status"]),
        (&"GET".into(), &400.into())
    );
    assert!(line["host"].is_string(), "{line}");
}

/// Whoever probes, and leaves before anything is decided, is seen.
#[test]
fn a_head_that_breaks_off_is_logged_as_far_as_it_came() {
    let proxy = Start::new(nobody()).plain().start();
    for (path, resets) in [("/closed", false), ("/reset", true)] {
        // An empty line is not the beginning of a request.
        let mut silent = proxy.tcp();
        silent.write_all(b"\r\n").expect("send");
        drop(silent);
        let mut tcp = proxy.tcp();
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: a\r\n").expect("send");
        // What was not read before a reset is lost.
        std::thread::sleep(Duration::from_millis(200));
        let linger = resets.then_some(Duration::ZERO);
        let set = socket2::SockRef::from(&tcp).set_linger(linger);
        set.expect("an option");
        drop(tcp);
        let line = proxy.logged(|line| line["error"] == "client-cut" && line["path"] == path);
        assert_eq!(
            (&line["method"], &line["host"], &line["verdict"]),
            (&"GET".into(), &"a".into(), &"deny".into())
        );
        assert!(line["status"].is_null(), "{line}");
    }
    let lines = crate::running::log_lines(&proxy.peer.stdout());
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

/// Rules tell `shop.test` from `shop.test:8443`, so a line does.
#[test]
fn a_line_says_the_host_with_its_port() {
    let proxy = Start::new(Backend::echo().address)
        .policy("{ rules: [{ to: [{ operation: { hosts: ['shop.test:8443'] } }] }] }")
        .start();
    for (head, path, host, verdict) in [
        (
            "GET /port HTTP/1.1\r\nHost: Shop.test:8443",
            "/port",
            "shop.test:8443",
            "allow",
        ),
        (
            "GET /other HTTP/1.1\r\nHost: shop.test:8444",
            "/other",
            "shop.test:8444",
            "deny",
        ),
        (
            "GET /none HTTP/1.1\r\nHost: shop.test",
            "/none",
            "shop.test",
            "deny",
        ),
        (
            "CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1",
            "a.test:1",
            "a.test:1",
            "deny",
        ),
    ] {
        proxy.status(&format!("{head}\r\n\r\n"));
        let line = proxy.logged_path(path);
        assert_eq!(
            (&line["host"], &line["verdict"]),
            (&host.into(), &verdict.into())
        );
    }
}

/// Where nobody was found to answer, nothing was judged. The line says all the same what was asked for.
#[test]
fn a_client_that_leaves_while_a_backend_is_looked_for_has_a_whole_line() {
    let dead = underseal_testkit::BlackHole::new();
    let proxy = Start::new(dead.address)
        .plain()
        .with(&["--direction", "egress", "--connect-timeout", "60"])
        .policy("{ direction: Egress, rules: [{}] }")
        .start();
    let mut tcp = proxy.tcp();
    tcp.write_all(b"GET /one HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .expect("send");
    wait_for_attempt(dead.address);
    drop(tcp);
    // The attempt ends with it.
    proxy.logged_path("/one");
    let _dead = runtime().block_on(async {
        let tcp = tokio::net::TcpStream::connect(proxy.address).await;
        let (mut sender, connection) = h2::client::handshake(tcp.expect("connect"))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let request = http::Request::get("http://a.test/two").body(());
        let request = request.expect("a request");
        let asked = sender.send_request(request, true).expect("send");
        let waiting = tokio::task::spawn_blocking(move || {
            wait_for_attempt(dead.address);
            dead
        });
        let dead = waiting.await.expect("an attempt");
        drop(asked);
        dead
    });
    let [http1, http2] = ["/one", "/two"].map(|path| {
        let line = proxy.logged_path(path);
        assert_eq!(line["error"], "client-cut", "{line}");
        assert_eq!(
            (&line["method"], &line["host"]),
            (&"GET".into(), &"a.test".into())
        );
        let fields = line.as_object().expect("fields").keys().cloned();
        fields.collect::<BTreeSet<_>>()
    });
    assert_eq!(http1, http2);
}
