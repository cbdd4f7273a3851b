//! aioquic, a stack that shares no code with ours, on either side of quinn with our packets.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rustls::crypto::CryptoProvider;
use underseal_testkit::peers::{python_with, spawn_listening};
use underseal_testkit::{Certificates, KeyType, Peer, SERVER_NAME};

/// What aioquic calls the suites.
const SUITES: [&str; 3] = [
    "AES_128_GCM_SHA256",
    "AES_256_GCM_SHA384",
    "CHACHA20_POLY1305_SHA256",
];

const PROTOCOL: &[u8] = b"test";

fn provider() -> Arc<CryptoProvider> {
    let base = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(underseal_quic::provider(base))
}

fn python(certificates: &Certificates, script: &str) -> Command {
    python_with("aioquic", certificates, script)
}

fn any_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
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

/// Sends back what comes on a stream, and updates the keys first where that is `update`.
async fn serve(connection: Connection) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let payload = receive.read_to_end(1 << 21).await.unwrap();
        if payload == b"update" {
            connection.force_key_update();
        }
        send.write_all(&payload).await.unwrap();
        send.finish().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_aioquic_is_served_and_either_side_updates_its_keys() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let endpoint = listen(&certificates);
    let port = endpoint.local_addr().unwrap().port().to_string();
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(serve(incoming.await.unwrap()));
        }
    });
    for suite in SUITES {
        for who in ["we", "they"] {
            let mut command = python(&certificates, include_str!("client.py"));
            command.args([SERVER_NAME, &port, suite, who]);
            let peer = tokio::task::block_in_place(|| Peer::spawn(&mut command).finish());
            let said = peer.successful().text();
            assert_eq!(said, "phases 0 1\ndone\n", "{suite}, {who} update");
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

async fn echo(connection: &Connection, payload: &[u8]) {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(payload).await.unwrap();
    send.finish().unwrap();
    let back = receive.read_to_end(payload.len()).await.unwrap();
    assert!(back == payload, "other bytes came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_aioquic_serves_and_either_side_updates_its_keys() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let payload: Vec<_> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    for suite in SUITES {
        for who in ["we", "they"] {
            let mut command = python(&certificates, include_str!("server.py"));
            command.arg(suite);
            let started =
                tokio::task::block_in_place(|| spawn_listening(&mut command, "listening on "));
            let (peer, address) = started;
            let (_endpoint, connection) = connect(&certificates, address).await;
            echo(&connection, b"before").await;
            match who {
                "we" => connection.force_key_update(),
                _ => echo(&connection, b"update").await,
            }
            echo(&connection, b"after").await;
            // Small ones before: quinn updates its keys by itself after some more packets.
            let phases = ["phase 0 behind 6", "phase 1 behind 5"];
            tokio::task::block_in_place(|| phases.map(|phase| peer.wait_for(phase)));
            echo(&connection, &payload).await;
        }
    }
}
