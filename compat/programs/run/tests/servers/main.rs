//! Clients that know tokio-rustls and nothing of underseal, with the shim in its place, against
//! servers that know neither.

mod nginx;
mod postgresql;
mod redis;

use std::path::Path;
use std::process::Command;

use rustls::ClientConfig;
use rustls::crypto::ring;
use underseal_testkit::{Certificates, PATIENCE};

/// Long enough for many records, and its place shows in each byte.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| b'!' + (n % 89) as u8).collect()
}

/// A client that trusts the authority, of both versions.
fn client_config(certificates: &Certificates) -> ClientConfig {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring has suites of both")
        .with_root_certificates(certificates.roots())
        .with_no_client_auth()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.expect("the server answers")
}

/// What a program that must succeed writes.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
