//! `underseal proxy --protocol dtls` between clients and services that others wrote.

#[path = "../serve/client.rs"]
#[allow(dead_code, reason = "the tests of serve use the rest of it")]
mod client;
#[path = "../proxy/harness.rs"]
#[allow(dead_code, reason = "the tests of proxy use the rest of it")]
mod harness;
#[path = "../proxy/metrics_page.rs"]
mod metrics_page;
#[path = "../serve/running.rs"]
#[allow(dead_code, reason = "the tests of serve use the rest of it")]
mod running;

mod bounds;
mod clients;
mod services;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use underseal_testkit::{PATIENCE, Peer, SERVER_NAME, peers};

use crate::harness::{Proxy, Start};

/// A UDP service that gives back every datagram, and knows who sent any.
struct Echo {
    address: SocketAddr,
    clients: Arc<Mutex<BTreeSet<SocketAddr>>>,
}

impl Echo {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = socket.local_addr().expect("an address");
        let clients = Arc::<Mutex<BTreeSet<_>>>::default();
        let seen = Arc::clone(&clients);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                seen.lock().expect("no panic").insert(from);
                let _ = socket.send_to(&buffer[..len], from);
            }
        });
        Self { address, clients }
    }

    fn clients(&self) -> usize {
        self.clients.lock().expect("no panic").len()
    }
}

/// A proxy of datagrams towards `backend`.
fn start(backend: impl ToString) -> Start {
    Start::new(backend).with(&["--protocol", "dtls"])
}

/// `openssl s_client` behind a proxy, whose certificate it verifies.
fn s_client(proxy: &Proxy) -> Peer {
    let mut command = peers::openssl_client(&proxy.certificates, proxy.address);
    Peer::spawn(command.args(["-dtls1_2", "-quiet", "-no_ign_eof"]))
}

fn gnutls_cli(proxy: &Proxy) -> Peer {
    let mut command = peers::gnutls_client(&proxy.certificates, proxy.address);
    Peer::spawn(command.args(["--udp", SERVER_NAME]))
}

/// Says `text`, and waits until it comes back.
fn exchange(peer: &mut Peer, text: &str) {
    peer.write(format!("{text}\n"));
    peer.wait_for(text);
}

/// A plain client of the proxy.
fn plain_client(proxy: &Proxy) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(proxy.address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    socket
}

fn exchange_plain(socket: &UdpSocket, text: &str) {
    socket.send(text.as_bytes()).expect("send");
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..len], text.as_bytes());
}

/// Waits until as many datagrams were dropped for `reason`, of a proxy with `--admin`; what it counts then.
fn dropped(proxy: &Proxy, reason: &str, count: u32) -> String {
    let line = format!("underseal_dropped_datagrams_total{{reason=\"{reason}\"}} {count}\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = proxy.admin("/metrics");
        if metrics.contains(&line) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "{line} in {metrics}");
        thread::sleep(Duration::from_millis(20));
    }
}
