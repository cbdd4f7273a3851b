//! How long clients are kept, how many of them, and which options make no sense.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use underseal_testkit::{Certificates, KeyType, PATIENCE, SERVER_NAME};

use crate::harness::Proxy;
use crate::{Echo, dropped, exchange, exchange_plain, plain_client, s_client, start};

/// One byte more than a record carries.
static LONG: [u8; (1 << 14) + 1] = [7; (1 << 14) + 1];

#[test]
fn a_silent_client_is_forgotten_and_logged() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--idle-timeout", "0.3"])
        .start();
    let client = plain_client(&proxy);
    exchange_plain(&client, "hello");
    let line = proxy.logged(|line| line["protocol"] == "dtls");
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&5.into(), &5.into())
    );
    assert!(line["error"].is_null(), "{line}");
    exchange_plain(&client, "and is a new one");
}

#[test]
fn a_silent_association_is_closed() {
    let proxy = start(Echo::new().address)
        .with(&["--idle-timeout", "0.3"])
        .start();
    let client = s_client(&proxy);
    proxy.logged(|line| line["protocol"] == "dtls");
    // s_client ends by itself when it is told so.
    client.finish();
}

#[test]
fn one_client_too_many_is_dropped_and_the_others_go_on() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--max-connections", "1", "--admin", "127.0.0.1:0"])
        .start();
    let first = plain_client(&proxy);
    exchange_plain(&first, "first");
    let second = plain_client(&proxy);
    second.send(b"second").expect("send");
    exchange_plain(&first, "goes on");
    let metrics = dropped(&proxy, "clients", 1);
    // Once, under one name.
    assert!(!metrics.contains("reason=\"client\""), "{metrics}");
}

/// A socket that leaves a group of several moves the clients of the others.
#[test]
fn clients_keep_their_workers_when_others_have_nobody_left() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--workers", "16", "--grace", "60"])
        .start();
    let clients: Vec<_> = (0..8).map(|_| plain_client(&proxy)).collect();
    for client in &clients {
        exchange_plain(client, "before");
    }
    proxy.signal(Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while workers(&proxy) > clients.len() {
        assert!(Instant::now() < deadline, "{} workers", workers(&proxy));
        thread::sleep(Duration::from_millis(20));
    }
    for client in &clients {
        exchange_plain(client, "after");
    }
}

fn workers(proxy: &Proxy) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", proxy.peer.id())).expect("it runs");
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    // One that ends meanwhile has no name any more.
    let names = tasks.flatten().filter_map(|task| name(task).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}

/// Sets the soft limit of its descriptors.
fn limit_files(proxy: &Proxy, current: Option<u64>) {
    let id = i32::try_from(proxy.peer.id()).expect("a process id");
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current, maximum };
    prlimit(Pid::from_raw(id), Resource::Nofile, limit).expect("it is our child");
}

/// Descriptors are held back for what is not a client: the admin port, files that are loaded again.
#[test]
fn clients_leave_descriptors_for_others() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--admin", "127.0.0.1:0", "--workers", "1"])
        .files(64)
        .start();
    let clients: Vec<_> = (0..80).map(|_| plain_client(&proxy)).collect();
    exchange_plain(&clients[0], "early");
    for late in &clients[1..] {
        late.send(b"late").expect("send");
    }
    proxy.logged(|line| line["error"] == "backend-refused");
    exchange_plain(&clients[0], "goes on");
    // The port needs a descriptor for each answer.
    let metrics = proxy.admin("/metrics");
    assert!(
        !metrics.contains("underseal_backend_errors_total{"),
        "{metrics}"
    );
}

#[test]
fn a_lack_of_descriptors_is_no_failure_of_a_service() {
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let first = plain_client(&proxy);
    exchange_plain(&first, "first");
    limit_files(&proxy, Some(3));
    plain_client(&proxy).send(b"second").expect("send");
    proxy.logged(|line| !line["error"].is_null());
    limit_files(&proxy, getrlimit(Resource::Nofile).maximum);
    exchange_plain(&first, "goes on");
    let metrics = proxy.admin("/metrics");
    assert!(
        !metrics.contains("underseal_backend_errors_total{"),
        "{metrics}"
    );
}

/// As [`Echo`], with an answer before it that is too long for a record.
fn long_winded() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            for answer in [&LONG[..], &buffer[..len]] {
                let _ = socket.send_to(answer, from);
            }
        }
    });
    address
}

#[test]
fn an_answer_that_is_too_long_for_a_record_is_lost_and_no_other() {
    let proxy = start(long_winded())
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let mut client = s_client(&proxy);
    exchange(&mut client, "once");
    exchange(&mut client, "twice");
    dropped(&proxy, "too_long", 2);
}

#[test]
fn a_datagram_that_is_too_long_for_a_record_is_lost_and_no_other() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let ca = certificates.ca_file().display().to_string();
    let service = Echo::new();
    let inner = start(service.address).certificates(certificates).start();
    let outer = start(format!("tls:{}", inner.address))
        .plain()
        .with(&["--to-ca", &ca, "--to-name", SERVER_NAME])
        .with(&["--admin", "127.0.0.1:0"])
        .start();
    let client = plain_client(&outer);
    exchange_plain(&client, "before");
    client.send(&LONG).expect("send");
    exchange_plain(&client, "after");
    dropped(&outer, "too_long", 1);
    assert_eq!(service.clients(), 1);
}

/// Each of them is judged, or dropped because the one before was denied a moment ago.
#[test]
fn a_plain_client_that_was_denied_is_not_judged_for_each_datagram() {
    const SENT: usize = 200;
    let proxy = start(Echo::new().address)
        .plain()
        .with(&["--workers", "1", "--admin", "127.0.0.1:0"])
        .policy("{ rules: [{ when: [{ key: connection.transport, values: [tcp] }] }] }")
        .start();
    let stranger = plain_client(&proxy);
    let series = "underseal_dropped_datagrams_total{reason=\"refused\"} ";
    let deadline = Instant::now() + PATIENCE;
    loop {
        for _ in 0..SENT {
            stranger.send(b"let me in").expect("send");
        }
        if proxy.admin("/metrics").contains(series) {
            break;
        }
        assert!(Instant::now() < deadline, "each is judged");
    }
    proxy.logged(|line| line["verdict"] == "deny");
    crate::metrics_page::check(&proxy.admin("/metrics"), "dtls");
}

#[test]
fn options_that_datagrams_have_no_use_for_are_refused() {
    for option in [
        &["--min-tls", "1.3"][..],
        &["--accept-proxy"],
        &["--send-proxy"],
        &["--alpn", "coap"],
        &["--health-check", "/"],
        &["--offload", "user"],
        &["--host", "keep"],
    ] {
        let (said, code) = start("127.0.0.1:9").with(option).refused();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}
