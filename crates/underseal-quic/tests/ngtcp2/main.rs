//! Programs of ngtcp2, which share no code with ours and have GnuTLS below them, on either side of quinn with
//! our packets. They say of each packet in which key phase it is.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod http3;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rustls::crypto::CryptoProvider;
use underseal_testkit::{Certificates, KeyType, Peer, SERVER_NAME, require_program};

/// What GnuTLS calls the suites.
const SUITES: [&str; 3] = ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"];

const PROTOCOL: &[u8] = b"h3";

fn body() -> Vec<u8> {
    (0..1 << 20).map(|at| (at % 251) as u8).collect()
}

fn provider() -> Arc<CryptoProvider> {
    let base = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(underseal_quic::provider(base))
}

fn any_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A program of ngtcp2 that agrees on this suite only.
fn program(name: &str, certificates: &Certificates, suite: &str) -> Command {
    let mut command = Command::new(require_program(name));
    command.current_dir(certificates.directory());
    command.args(["--no-quic-dump", "--no-http-dump"]);
    command.arg(format!(
        "--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{suite}"
    ));
    command
}

/// Asserts that both sides were in either key phase, and that the first packet of the second was that of
/// whoever began. quinn updates its keys by itself later.
fn assert_updated(log: &str, received_first: bool) {
    let of_phase = |phase: &str, direction: &str| {
        let is_meant = |line: &&str| line.contains(direction) && line.ends_with(phase);
        log.lines().position(|line| is_meant(&line))
    };
    for (direction, name) in [("pkt rx", "received"), ("pkt tx", "sent")] {
        assert!(of_phase("1RTT k=0", direction).is_some(), "{name}: {log}");
        assert!(of_phase("1RTT k=1", direction).is_some(), "{name}: {log}");
    }
    let (received, sent) = (
        of_phase("1RTT k=1", "pkt rx"),
        of_phase("1RTT k=1", "pkt tx"),
    );
    assert_eq!(received < sent, received_first, "{log}");
}

fn listen(certificates: &Certificates) -> Endpoint {
    let (chain, key) = certificates.server_identity();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).unwrap();
    let config = ServerConfig::with_crypto(Arc::new(crypto));
    Endpoint::server(config, any_address()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_ngtcp2_is_served_and_either_side_updates_its_keys() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    for suite in SUITES {
        for we in [true, false] {
            let endpoint = listen(&certificates);
            let port = endpoint.local_addr().unwrap().port().to_string();
            let before = move |connection: &Connection| {
                if we {
                    connection.force_key_update();
                }
            };
            tokio::spawn(async move {
                let connection = endpoint.accept().await.unwrap().await.unwrap();
                http3::answer(connection, &body(), before).await;
            });
            let mut command = program("gtlsclient", &certificates, suite);
            command.args(["--exit-on-all-streams-close", "--download=."]);
            if !we {
                command.args(["--key-update=1ms", "--delay-stream=20ms"]);
            }
            let url = format!("https://{SERVER_NAME}:{port}/body");
            command.args(["127.0.0.1", &port, &url]);
            let peer = tokio::task::block_in_place(|| Peer::spawn(&mut command).finish());
            let peer = peer.successful();
            let file = certificates.directory().join("body");
            assert!(std::fs::read(&file).unwrap() == body(), "{suite}");
            std::fs::remove_file(file).unwrap();
            assert_updated(&peer.stderr, we);
        }
    }
}

async fn connect(certificates: &Certificates, address: SocketAddr) -> (Endpoint, Connection) {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(certificates.roots())
        .with_no_client_auth();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = Endpoint::client(any_address()).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    let connecting = endpoint.connect(address, SERVER_NAME).unwrap();
    let connection = connecting.await.unwrap();
    (endpoint, connection)
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind(any_address()).unwrap();
    socket.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_ngtcp2_serves_and_answers_a_key_update() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    std::fs::write(certificates.directory().join("large"), body()).unwrap();
    std::fs::write(certificates.directory().join("small"), b"hello").unwrap();
    for suite in SUITES {
        let address = free_address();
        let mut command = program("gtlsserver", &certificates, suite);
        command.arg("--mime-types-file=/dev/null");
        command.args(["127.0.0.1", &address.port().to_string()]);
        command.arg(certificates.server_key_file());
        command.arg(certificates.server_cert_file());
        let mut peer = Peer::spawn(&mut command);
        // What it does not hear before it listens is sent once more.
        let (_endpoint, connection) = connect(&certificates, address).await;
        let _control = http3::control(&connection).await;
        assert_eq!(http3::get(&connection, "/small").await, b"hello");
        connection.force_key_update();
        assert_eq!(http3::get(&connection, "/small").await, b"hello");
        assert!(http3::get(&connection, "/large").await == body(), "{suite}");
        connection.close(0_u32.into(), b"");
        peer.kill();
        assert_updated(&peer.finish().stderr, true);
    }
}
