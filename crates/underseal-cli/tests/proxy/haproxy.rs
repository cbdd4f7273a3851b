//! The PROXY protocol with HAProxy on the other side: as it writes it, and as it reads ours.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;

use rustls::ClientConfig;
use tempfile::TempDir;
use underseal_testkit::{Certificates, KeyType, Peer, Suite, peers};

use crate::backend::Backend;
use crate::client::{Client, tcp};
use crate::harness::{Proxy, Start};

/// Clients of a load balancer before HAProxy, as version 1 tells them, and what they are called
/// then. So neither needs an address of this machine, nor IPv6.
const CLIENTS: [(&str, &str, &str); 2] = [
    (
        "PROXY TCP4 192.0.2.7 203.0.113.1 4660 443\r\n",
        "192.0.2.7",
        "192.0.2.7:4660",
    ),
    (
        "PROXY TCP6 2001:db8::7 2001:db8::1 4660 443\r\n",
        "2001:db8::7",
        "[2001:db8::7]:4660",
    ),
];

/// HAProxy with one frontend.
struct HaProxy {
    _peer: Peer,
    address: SocketAddr,
    _directory: TempDir,
}

impl HaProxy {
    /// Told the clients by version 1. `bind` is the rest of the line that listens.
    fn start(bind: &str, rest: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (peer, address) = peers::spawn_on_free_port(|port| {
            let config = format!(
                "global\n    nbthread 1\n    maxconn 200\n    noreuseport\n\
                 defaults\n    timeout client 30s\n    timeout server 30s\n    timeout connect 5s\n\
                 frontend clients\n    bind 127.0.0.1:{port} accept-proxy {bind}\n{rest}"
            );
            let file = directory.path().join("haproxy.cfg");
            fs::write(&file, config).expect("write");
            peers::haproxy(&file)
        });
        Self {
            _peer: peer,
            address,
            _directory: directory,
        }
    }

    /// Passes bytes on to `proxy`, with `options` of the line of its server.
    fn before(proxy: &Proxy, bind: &str, options: &str) -> Self {
        let address = proxy.address;
        let rest = format!(
            "    mode tcp\n    default_backend underseal\n\
             backend underseal\n    mode tcp\n    server underseal {address} {options}\n"
        );
        Self::start(bind, &rest)
    }

    /// Says in plain HTTP who it takes the client for.
    fn telling() -> Self {
        let answer = "http-request return status 200 content-type text/plain \
                      lf-string \"%[src] %[src_port] %[dst] %[dst_port]\"";
        Self::start("", &format!("    mode http\n    {answer}\n"))
    }

    /// Connects as one of [`CLIENTS`].
    fn client(&self, line: &str, config: ClientConfig) -> Client {
        let mut tcp = tcp(self.address);
        tcp.write_all(line.as_bytes()).expect("send");
        Client::over(tcp, config)
    }
}

/// Asks for a path as each client does; the backend and the log are told who that is.
fn expect_known(haproxy: &HaProxy, proxy: &Proxy, config: &ClientConfig) {
    for (line, address, remote) in CLIENTS {
        let mut client = haproxy.client(line, config.clone());
        client.get(&format!("/{address}"));
        let head = client.response().text();
        let field = format!("\r\nX-Forwarded-For: {address}\r\n");
        assert!(head.contains(&field), "{head}");
        assert_eq!(proxy.logged_path(&format!("/{address}"))["remote"], remote);
    }
}

#[test]
fn haproxy_speaks_for_its_clients_before_tls() {
    let proxy = Start::new(Backend::echo().address)
        .with(&["--accept-proxy"])
        .start();
    let config = proxy.certificates.client_config(Suite::Tls13Aes128);
    // As version 1, and as version 2.
    for options in ["send-proxy", "send-proxy-v2"] {
        let haproxy = HaProxy::before(&proxy, "", options);
        expect_known(&haproxy, &proxy, &config);
    }
}

/// All that it can say beside the addresses: of TLS, which it ends, with the client's certificate.
#[test]
fn haproxy_says_more_than_addresses() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let pem = certificates.directory().join("haproxy.pem");
    let read = |file| fs::read(file).expect("a file");
    let chain = read(certificates.server_cert_file());
    let key = read(certificates.server_key_file());
    fs::write(&pem, [chain, key].concat()).expect("write");
    let (pem, ca) = (pem.display(), certificates.ca_file());
    let bind = format!("ssl crt {pem} ca-file {} verify required", ca.display());
    let config = certificates.mutual_client_config(Suite::Tls13Aes128);
    for options in [
        "send-proxy-v2-ssl",
        "send-proxy-v2-ssl-cn",
        "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,crc32c,authority,unique-id",
    ] {
        let proxy = Start::new(Backend::echo().address)
            .plain()
            .with(&["--accept-proxy"])
            .start();
        let haproxy = HaProxy::before(&proxy, &bind, options);
        expect_known(&haproxy, &proxy, &config);
    }
}

#[test]
fn haproxy_reads_what_the_proxy_says_of_its_clients() {
    let telling = HaProxy::telling();
    let proxy = Start::new(telling.address).with(&["--send-proxy"]).start();
    let mut client = proxy.client();
    client.get("/");
    let port = client.tcp().local_addr().expect("an address").port();
    let own = proxy.address.port();
    let said = client.response().text();
    assert_eq!(said, format!("127.0.0.1 {port} 127.0.0.1 {own}"));
}

/// HAProxy, the proxy, HAProxy: the addresses that the first was told come to the last.
#[test]
fn addresses_pass_through_the_proxy() {
    let telling = HaProxy::telling();
    let proxy = Start::new(telling.address)
        .with(&["--accept-proxy", "--send-proxy"])
        .start();
    let haproxy = HaProxy::before(&proxy, "", "send-proxy-v2");
    let config = proxy.certificates.client_config(Suite::Tls13Aes128);
    let said = CLIENTS.map(|(line, ..)| {
        let mut client = haproxy.client(line, config.clone());
        client.get("/");
        client.response().text()
    });
    let expected = [
        "192.0.2.7 4660 203.0.113.1 443",
        "2001:db8::7 4660 2001:db8::1 443",
    ];
    assert_eq!(said, expected);
}
