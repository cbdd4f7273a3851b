//! The foreign TLS implementations: how each is started as a server or a client, on 127.0.0.1.
//!
//! The functions return a `Command`, to which a test adds what it is about.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Certificates, PATIENCE, Peer, SERVER_NAME, free_port, require_program};

/// `openssl s_server` on a port it chooses; it says `ACCEPT 127.0.0.1:<port>` when it is ready.
#[must_use]
pub fn openssl_server(certificates: &Certificates) -> Command {
    let mut command = Command::new(require_program("openssl"));
    command.current_dir(certificates.directory());
    command.args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"]);
    command.arg("-cert").arg(certificates.server_cert_file());
    command.arg("-key").arg(certificates.server_key_file());
    command
}

/// `openssl s_client` that verifies the server at `address` and asks for it by name.
#[must_use]
pub fn openssl_client(certificates: &Certificates, address: SocketAddr) -> Command {
    let mut command = Command::new(require_program("openssl"));
    command.current_dir(certificates.directory());
    command.args([
        "s_client",
        "-connect",
        &address.to_string(),
        "-servername",
        SERVER_NAME,
    ]);
    command.args(["-verify_return_error", "-verify_hostname", SERVER_NAME]);
    command.arg("-CAfile").arg(certificates.ca_file());
    command
}

/// `gnutls-serv` on `port`; see [`spawn_on_free_port`].
#[must_use]
pub fn gnutls_server(certificates: &Certificates, port: u16) -> Command {
    let mut command = Command::new(require_program("gnutls-serv"));
    command.current_dir(certificates.directory());
    command.args(["--port", &port.to_string()]);
    command
        .arg("--x509certfile")
        .arg(certificates.server_cert_file());
    command
        .arg("--x509keyfile")
        .arg(certificates.server_key_file());
    command
}

/// `gnutls-cli` that verifies the server at `address`.
#[must_use]
pub fn gnutls_client(certificates: &Certificates, address: SocketAddr) -> Command {
    let mut command = Command::new(require_program("gnutls-cli"));
    command.current_dir(certificates.directory());
    command.args(["--port", &address.port().to_string()]);
    command.arg("--x509cafile").arg(certificates.ca_file());
    command
}

/// `curl` that verifies the server at `address`, asks for it by name and is silent but for errors.
/// The test adds the URLs: [`url`].
#[must_use]
pub fn curl(certificates: &Certificates, address: SocketAddr) -> Command {
    let mut command = Command::new(require_program("curl"));
    command.current_dir(certificates.directory());
    command.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
    command
        .args(["--noproxy", "*", "--cacert"])
        .arg(certificates.ca_file());
    command.args([
        "--resolve",
        &format!("{SERVER_NAME}:{}:127.0.0.1", address.port()),
    ]);
    command
}

/// The URL of `path` on the server at `address`.
#[must_use]
pub fn url(address: SocketAddr, path: &str) -> String {
    format!("https://{SERVER_NAME}:{}{path}", address.port())
}

/// HAProxy with this configuration, in the foreground; see [`spawn_on_free_port`].
#[must_use]
pub fn haproxy(configuration: &Path) -> Command {
    let mut command = Command::new(require_program("haproxy"));
    command.args(["-db", "-q", "-f"]).arg(configuration);
    command
}

/// Python running `script`, whose first argument is the certificates' directory.
#[must_use]
pub fn python(certificates: &Certificates, script: &str) -> Command {
    let mut command = Command::new(require_program("python3"));
    command.current_dir(certificates.directory());
    command
        .args(["-u", "-c", script])
        .arg(certificates.directory());
    command
}

/// As [`python`], with a package that `cargo xtask test` installs below `target`.
///
/// # Panics
/// When it is not there: the test then fails, with the lines that install it.
#[must_use]
pub fn python_with(package: &str, certificates: &Certificates, script: &str) -> Command {
    python_with_module(package, package, certificates, script)
}

/// As [`python_with`], with a package whose module has another name.
///
/// # Panics
/// The same.
#[must_use]
pub fn python_with_module(
    package: &str,
    module: &str,
    certificates: &Certificates,
    script: &str,
) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let interpreter = root.join("target/python/bin/python3");
    let mut import = Command::new(&interpreter);
    import.args(["-c", &format!("import {module}")]);
    let is_there = import.output().is_ok_and(|output| output.status.success());
    assert!(
        is_there,
        "this test needs {package}; install it with `python3 -m venv target/python && \
         target/python/bin/pip install {package}`"
    );
    let mut command = Command::new(interpreter);
    command.current_dir(certificates.directory());
    command
        .args(["-u", "-c", script])
        .arg(certificates.directory());
    command
}

/// Starts an [`openssl_server`], or another program that says where it listens on a line with
/// `marker` before the address, and waits until it does.
///
/// # Panics
/// When it says nothing, or nothing that is an address.
pub fn spawn_listening(command: &mut Command, marker: &str) -> (Peer, SocketAddr) {
    let peer = Peer::spawn(command);
    let line = peer.wait_for(marker);
    let address = line[marker.len()..].trim();
    let address = address
        .parse()
        .unwrap_or_else(|error| panic!("{address:?}: {error}"));
    (peer, address)
}

/// Starts a program that has to be told its port, and waits until somebody accepts connections on
/// it. The port may be taken between its choice and its use, so another is tried a few times.
///
/// # Panics
/// When the program does not stay, whatever the port.
pub fn spawn_on_free_port(command: impl Fn(u16) -> Command) -> (Peer, SocketAddr) {
    for _ in 0..5 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut peer = Peer::spawn(&mut command(address.port()));
        let deadline = Instant::now() + PATIENCE;
        while peer.is_running() && Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() && peer.is_running() {
                return (peer, address);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("the program accepts no connections on any port")
}
