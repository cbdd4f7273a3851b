//! The client `redis` and Redis.

use std::fs;
use std::path::Path;
use std::process::Command;

use redis::{AsyncTypedCommands as _, Client, TlsCertificates};
use rustls::crypto::ring;
use underseal_testkit::{Certificates, KeyType, peers, require_program};

use crate::{in_time, pattern, text};

fn server(directory: &Path, certificates: &Certificates, port: u16) -> Command {
    let (certificate, key) = (
        certificates.server_cert_file(),
        certificates.server_key_file(),
    );
    let mut command = Command::new(require_program("redis-server"));
    command.args(["--port", "0", "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
    command.args(["--tls-cert-file", text(&certificate)]);
    command.args(["--tls-key-file", text(&key), "--dir", text(directory)]);
    command
}

#[tokio::test]
async fn the_redis_client_gets_what_it_has_set() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, address) =
        peers::spawn_on_free_port(|port| server(directory.path(), &certificates, port));

    // The client takes the provider of the process.
    let _ = ring::default_provider().install_default();
    let authority = fs::read(certificates.ca_file()).expect("the authority");
    let tls = TlsCertificates {
        client_tls: None,
        root_cert: Some(authority),
    };
    let client = Client::build_with_tls(format!("rediss://{address}/"), tls);
    let client = client.expect("a URL");
    let connection = in_time(client.get_multiplexed_async_connection()).await;
    let mut connection = connection.expect("a connection");
    let value = pattern(1_000_000);
    in_time(connection.set("key", &value)).await.expect("set");
    let found = in_time(connection.get("key")).await.expect("got");
    assert!(found.is_some_and(|found| found.as_bytes() == value));
}
