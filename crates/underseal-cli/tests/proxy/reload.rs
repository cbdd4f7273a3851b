//! New policies and certificates while requests go on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Proxy, Start, policy};
use crate::tls::answer;

const ALLOW_A: &str = "{ rules: [{ to: [{ operation: { paths: ['/a'] } }] }] }";
const ALLOW_B: &str = "{ rules: [{ to: [{ operation: { paths: ['/b'] } }] }] }";

fn status(client: &mut Client, path: &str) -> u16 {
    client.get(path);
    client.response().status
}

#[test]
fn the_next_request_on_an_old_connection_meets_the_new_policy() {
    let proxy = Start::new(Backend::echo().address).policy(ALLOW_A).start();
    let mut client = proxy.client();
    assert_eq!(
        (status(&mut client, "/a"), status(&mut client, "/b")),
        (200, 403)
    );
    fs::write(proxy.policy_file(), policy("newer", ALLOW_B)).expect("write");
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("policy loaded again, in force: newer");
    assert_eq!(
        (status(&mut client, "/a"), status(&mut client, "/b")),
        (403, 200)
    );
}

#[test]
fn a_changed_policy_is_noticed_without_a_signal() {
    let proxy = Start::new(Backend::echo().address).policy(ALLOW_A).start();
    fs::write(proxy.policy_file(), policy("newer", ALLOW_B)).expect("write");
    proxy.peer.wait_for("policy loaded again, in force: newer");
    assert_eq!(status(&mut proxy.client(), "/b"), 200);
}

#[test]
fn an_invalid_policy_leaves_the_old_one_and_says_why() {
    let proxy = Start::new(Backend::echo().address).policy(ALLOW_A).start();
    let mut client = proxy.client();
    fs::write(proxy.policy_file(), policy("broken", "{ ruls: [] }")).expect("write");
    proxy.signal(Signal::HUP);
    let line = proxy.peer.wait_for("the old policy stays: ");
    assert!(
        line.contains("policy.yaml:4:9: ") && line.contains("ruls"),
        "{line}"
    );
    assert_eq!(
        (status(&mut client, "/a"), status(&mut client, "/b")),
        (200, 403)
    );
    fs::remove_file(proxy.policy_file()).expect("remove");
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("cannot read policy");
    assert_eq!(
        (status(&mut client, "/a"), status(&mut client, "/b")),
        (200, 403)
    );
}

/// Clients that ask without a pause on connections that they keep.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(proxy: &Proxy, clients: usize) -> Self {
        let (stop, answered) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let clients = (0..clients).map(|_| {
            let mut client = proxy.client();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(status(&mut client, "/a"), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            answered,
        }
    }

    /// Waits until more requests have been answered.
    fn go_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        while self.answered.load(Ordering::Relaxed) < before + 50 {
            thread::yield_now();
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("every request was answered");
        }
    }
}

#[test]
fn no_request_is_lost_while_certificates_and_policies_change() {
    let proxy = Start::new(Backend::echo().address).policy(ALLOW_A).start();
    let load = Load::start(&proxy, 8);
    for round in 1..=5 {
        let renewed = Certificates::new(KeyType::Ecdsa);
        let own = &proxy.certificates;
        fs::copy(renewed.server_cert_file(), own.server_cert_file()).expect("copy");
        fs::copy(renewed.server_key_file(), own.server_key_file()).expect("copy");
        let name = format!("round-{round}");
        fs::write(proxy.policy_file(), policy(&name, ALLOW_A)).expect("write");
        proxy.signal(Signal::HUP);
        proxy.peer.wait_for(&format!("in force: {name}"));
        load.go_on();
        let config = renewed.client_config(Suite::Tls13Aes128);
        let mut fresh = Client::connect(proxy.address, config);
        let (chain, _) = renewed.server_identity();
        assert_eq!(fresh.server_certificate(), chain[0].to_vec());
        assert_eq!(status(&mut fresh, "/a"), 200);
    }
    load.stop();
}

#[test]
fn a_client_authority_that_is_gone_lets_nobody_in_any_more() {
    let proxy = Start::new(Backend::echo().address).mutual().start();
    let mut old = proxy.mutual_client();
    assert_eq!(status(&mut old, "/"), 200);
    let other = Certificates::new(KeyType::Ecdsa);
    let config = proxy.certificates.mutual_client_config(Suite::Tls13Aes128);
    fs::copy(other.ca_file(), proxy.certificates.ca_file()).expect("copy");
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("client CA loaded again");
    let mut refused = Client::connect(proxy.address, config);
    let _ = refused.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused.rest().1.expect_err("an alert");
    assert_eq!(status(&mut old, "/"), 200);
}

/// What a request gets if what is denied changes while its backend does not shake hands.
fn overtaken(direction: &str, (old, new): (&str, &str), request: &str) -> u16 {
    let denying = |rule| format!("{{ direction: {direction}, action: DENY, rules: [{rule}] }}");
    let certificates = Certificates::new(KeyType::Ecdsa);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let ca = certificates.ca_file().display().to_string();
    let proxy = Start::new(format!("tls:localhost:{port}"))
        .plain()
        .policy(&denying(old))
        .with(&["--to-ca", &ca, "--direction", &direction.to_lowercase()])
        .start();
    let mut client = proxy.tcp();
    client.write_all(request.as_bytes()).expect("send");
    let (tcp, _) = listener.accept().expect("a connection");
    fs::write(proxy.policy_file(), policy("newer", &denying(new))).expect("write");
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("policy loaded again, in force: newer");
    let config = Arc::new(certificates.server_config(Suite::Tls13Aes128));
    thread::spawn(move || answer(config, tcp));
    let mut status = [0; 12];
    client.read_exact(&mut status).expect("an answer");
    let status = str::from_utf8(&status[9..]).expect("a status");
    status.parse().expect("a status")
}

const OTHER_HOST: &str = "{ to: [{ operation: { hosts: [other.test] } }] }";

#[test]
fn trailers_are_looked_at_by_the_policies_that_judged_the_head() {
    let role = "{ when: [{ key: 'request.headers[x-role]', values: [admin] }] }";
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   0\r\nX-Role: admin\r\n\r\n";
    assert_eq!(overtaken("Ingress", (role, OTHER_HOST), request), 400);
}

#[test]
fn a_parameter_of_a_path_is_refused_by_the_policies_that_judge_it() {
    let admin = "{ to: [{ operation: { paths: ['/admin'] } }] }";
    let request = "GET /admin;a=b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(overtaken("Egress", (OTHER_HOST, admin), request), 400);
}
