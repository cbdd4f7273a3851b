use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A program that counts to one.
struct Counted;

impl Expose for Counted {
    fn expose(self: Arc<Self>) -> Result<String, fmt::Error> {
        Ok("count_total 1\n# EOF\n".to_owned())
    }
}

/// An admin port, and what tells its workers what to do.
fn start() -> (SocketAddr, watch::Sender<Order>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("nonblocking");
    let address = listener.local_addr().expect("address");
    let (orders, order) = watch::channel(Order::Serve);
    let admin = Admin {
        metrics: Arc::new(Counted),
        orders: order,
    };
    spawn(listener, admin).expect("spawn");
    (address, orders)
}

/// All that comes for what is sent.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.expect("connect");
    tcp.write_all(request.as_bytes()).await.expect("write");
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).await.expect("read");
    reply
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let reply = exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
    .await;
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn metrics_are_told_as_openmetrics() {
    let (address, _orders) = start();
    let (head, body) = get(address, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains(&format!("content-type: {OPENMETRICS}")),
        "{head}"
    );
    assert_eq!(body, "count_total 1\n# EOF\n");
}

#[tokio::test]
async fn it_is_alive_and_ready_until_it_shuts_down() {
    let (address, orders) = start();
    for path in ["/healthz", "/readyz"] {
        assert!(
            get(address, path).await.0.starts_with("HTTP/1.1 200 "),
            "{path}"
        );
    }
    for order in [Order::Finish, Order::Quit] {
        orders.send_replace(order);
        let (head, body) = get(address, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert_eq!(body, "shutting down\n");
        assert!(
            get(address, "/healthz")
                .await
                .0
                .starts_with("HTTP/1.1 200 ")
        );
    }
}

#[tokio::test]
async fn other_requests_are_refused() {
    let (address, _orders) = start();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEAD));
    let many = format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        "x: y\r\n".repeat(MAX_FIELDS + 1)
    );
    for (request, expected) in [
        (
            "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "405 ",
        ),
        ("GET /other HTTP/1.1\r\n\r\n", "404 "),
        ("nonsense\r\n\r\n", "400 "),
        (&long, "431 "),
        (&many, "431 "),
    ] {
        let reply = exchange(address, request).await;
        let expected = format!("HTTP/1.1 {expected}");
        assert!(reply.starts_with(&expected), "{request:.40}: {reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_nothing_keeps_nobody_out() {
    let (address, _orders) = start();
    let started = tokio::time::Instant::now();
    let mut idle = Vec::new();
    for _ in 0..3 * MAX_CONNECTIONS {
        idle.push(TcpStream::connect(address).await.expect("connect"));
    }
    let (head, _) = get(address, "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // The clock goes on by itself once everybody waits.
    assert!(started.elapsed() < TIMEOUT);
    for mut tcp in idle {
        let read = tcp.read(&mut [0]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn a_browser_that_was_led_here_by_a_name_is_told_nothing() {
    let (address, _orders) = start();
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:9901", 200),
        ("127.0.0.1:9901", 200),
        ("[::1]:9901", 200),
        ("[::1]", 200),
        ("evil.test", 421),
        ("evil.test:9901", 421),
        ("127.0.0.1.evil.test", 421),
        ("localhost.evil.test", 421),
        ("", 421),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = exchange(address, &request).await;
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {reply}"
        );
    }
}

#[test]
fn names_lead_to_other_addresses_than_loopback() {
    let request = Request::get("/metrics").header(HOST, "proxy.monitoring:9901");
    let request = request.body(()).expect("a request");
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    assert!(is_addressed(&request, Some(&elsewhere)));
    assert!(!is_addressed(&request, Some(&IpAddr::from([127, 0, 0, 1]))));
}
