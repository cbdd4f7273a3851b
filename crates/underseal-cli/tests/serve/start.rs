//! What keeps the server from starting, and what it starts with when it is given nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use underseal_testkit::{Certificates, Finished, KeyType, Peer, require_program};

use crate::harness::{Server, fingerprint};
use crate::running::underseal;

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = underseal();
    command
        .arg("serve")
        .args(arguments)
        .args(["--listen", "127.0.0.1:0"]);
    let finished = Peer::spawn(&mut command).finish();
    assert!(finished.stdout.is_empty());
    (finished.status.code(), finished.stderr)
}

fn check(arguments: &[&str], code: i32, message: &str) {
    let (exit, stderr) = refused(arguments);
    assert_eq!(exit, Some(code), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "one line and its hint:\n{stderr}");
    assert!(
        lines[0].starts_with("error: ") && lines[0].contains(message),
        "{stderr}"
    );
    assert!(
        lines[1].starts_with("hint: ") && lines[1].len() > 10,
        "{stderr}"
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn directories_that_cannot_be_served_exit_with_5() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    check(&["/nonexistent/dir"], 5, "No such file or directory");
    check(&[text(file.path())], 5, "Not a directory");
}

#[test]
fn certificates_that_cannot_be_used_exit_with_3() {
    let (one, other) = (
        Certificates::new(KeyType::Ecdsa),
        Certificates::new(KeyType::Ecdsa),
    );
    let (cert, key) = (one.server_cert_file(), one.server_key_file());
    let foreign_key = other.server_key_file();
    let empty = tempfile::NamedTempFile::new().expect("a file");
    for (cert, key, message) in [
        (
            cert.as_path(),
            foreign_key.as_path(),
            "do not belong together",
        ),
        (
            Path::new("/nonexistent.pem"),
            key.as_path(),
            "cannot read certificate `/nonexistent.pem`",
        ),
        (
            cert.as_path(),
            Path::new("/nonexistent.pem"),
            "cannot read key `/nonexistent.pem`",
        ),
        (key.as_path(), key.as_path(), "no certificate in it"),
        (cert.as_path(), empty.path(), "no key in it"),
    ] {
        check(&[".", "--cert", text(cert), "--key", text(key)], 3, message);
    }
}

#[test]
fn a_certificate_needs_its_key() {
    let (exit, stderr) = refused(&[".", "--cert", "x.pem"]);
    assert_eq!(exit, Some(2));
    assert!(stderr.contains("--key <FILE>"), "{stderr}");
}

#[test]
fn a_port_in_use_exits_with_4() {
    let server = Server::start();
    let mut command = underseal();
    command.args(["serve", ".", "--listen", &server.address.to_string()]);
    let finished = Peer::spawn(&mut command).finish();
    assert_eq!(finished.status.code(), Some(4), "{}", finished.stderr);
    let expected = format!(
        "error: cannot listen on {}: Address already in use\n",
        server.address
    );
    assert!(
        finished.stderr.starts_with(&expected),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("\nhint: "), "{}", finished.stderr);
}

#[test]
fn addresses_that_are_none_exit_with_4() {
    for (listen, message) in [
        ("nonsense", "cannot listen on `nonsense`"),
        ("192.0.2.1:8443", "cannot listen on 192.0.2.1:8443"),
    ] {
        let mut command = underseal();
        command.args(["serve", ".", "--listen", listen]);
        let finished = Peer::spawn(&mut command).finish();
        assert_eq!(finished.status.code(), Some(4), "{}", finished.stderr);
        assert!(finished.stderr.contains(message), "{}", finished.stderr);
    }
}

#[test]
fn filters_that_make_no_sense_exit_with_2() {
    check(&[".", "--log", "=,="], 2, "cannot use log filter");
}

#[test]
fn without_a_state_directory_certificates_have_to_be_given() {
    let mut command = underseal();
    command
        .env_remove("HOME")
        .args(["serve", ".", "--listen", "127.0.0.1:0"]);
    let finished = Peer::spawn(&mut command).finish();
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("hint: set XDG_STATE_HOME"),
        "{}",
        finished.stderr
    );
}

/// Starts with a development certificate, does what the start text says to try, and ends.
fn try_as_printed(state: &Path, root: &Path) -> (Finished, String) {
    let mut command = underseal();
    command.env("XDG_STATE_HOME", state).arg("serve").arg(root);
    let mut peer = Peer::spawn(command.args(["--listen", "127.0.0.1:0"]));
    let line = peer.wait_for("try          ");
    let printed = line.trim_start_matches("try          ").to_owned();
    let shown = peer.wait_for("sha256       ").replace("sha256       ", "");
    let _ = require_program("curl");
    let mut shell = Command::new("sh");
    let curl = Peer::spawn(shell.args(["-c", &format!("{printed} --silent --show-error --fail")]));
    let fetched = curl.finish();
    peer.kill();
    (fetched, shown)
}

#[test]
fn the_development_certificate_works_as_printed_and_stays() {
    let state = tempfile::tempdir().expect("a directory");
    let state = state.path().join("with space");
    let root = tempfile::tempdir().expect("a directory");
    fs::write(root.path().join("index.html"), "it works").expect("write");
    let (fetched, shown) = try_as_printed(&state, root.path());
    assert_eq!(fetched.successful().text(), "it works");

    let kept = state.join("underseal/development");
    assert_eq!(shown, fingerprint(&kept.join("certificate.pem")));
    for name in ["certificate.pem", "key.pem"] {
        let meta = fs::metadata(kept.join(name)).expect("kept");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let (again, shown_again) = try_as_printed(&state, root.path());
    assert_eq!(again.successful().text(), "it works");
    assert_eq!(shown, shown_again);
}

/// What cannot be had on every machine is asked for by one and not by the other.
#[test]
fn the_environment_goes_before_the_command_line() {
    let mut command = underseal();
    command.env(underseal::OFFLOAD_VARIABLE, "user");
    Server::from_command(command, &["--offload", "kernel"]);

    let mut command = underseal();
    command.env(underseal::OFFLOAD_VARIABLE, "nic");
    Server::from_command(command, &["--offload", "user"]);
}

/// With a kernel that has TLS the server starts, and serves through it; without, it says so at
/// once instead of failing every handshake.
#[test]
fn the_kernel_engine_is_used_or_missed_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let wanted = underseal::Offload::Kernel.engine(
        underseal::Direction::Tx,
        underseal::record::ProtocolVersion::Tls13,
        underseal::record::Algorithm::Aes128Gcm,
    );
    if wanted.is_ok() {
        Server::with(&["--offload", "tx=kernel"]);
    } else {
        let arguments = [text(dir.path()), "--offload", "tx=kernel"];
        check(&arguments, 1, "the kernel engine cannot be had for tx");
    }
    let (exit, stderr) = refused(&[text(dir.path()), "--offload", "nic"]);
    assert_eq!(exit, Some(2), "{stderr}");
    assert!(
        stderr.contains("expected `auto`, `kernel` or `user`"),
        "{stderr}"
    );
}
