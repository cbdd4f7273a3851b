//! A running server and the directory it serves.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use underseal_testkit::{Certificates, Finished, KeyType, PATIENCE, Peer, Suite, peers};

use crate::client::Client;

/// `underseal serve` with certificates of its own; killed when dropped.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
    root: TempDir,
}

impl Server {
    /// Serves an empty directory.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Serves an empty directory with more options.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::from_command(underseal(), options)
    }

    /// The same, started by `command`, which ends with the name of the binary.
    pub(crate) fn from_command(mut command: Command, options: &[&str]) -> Self {
        let certificates = Certificates::new(KeyType::Ecdsa);
        let root = tempfile::tempdir().expect("a directory to serve");
        command.arg("serve").arg(root.path());
        command.args(["--listen", "127.0.0.1:0"]);
        command.arg("--cert").arg(certificates.server_cert_file());
        command.arg("--key").arg(certificates.server_key_file());
        command.args(options);
        let peer = Peer::spawn(&mut command);
        let address = address_of(&peer);
        Self {
            peer,
            address,
            certificates,
            root,
        }
    }

    /// The path of `name` in the served directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a file into the served directory.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("make directories");
        fs::write(path, content).expect("write a file to serve");
    }

    /// Puts a file of `length` zero bytes into the served directory, without writing them.
    pub(crate) fn write_sparse(&self, name: &str, length: u64) -> File {
        let file = File::create(self.path(name)).expect("make a file to serve");
        file.set_len(length).expect("set its length");
        file
    }

    /// Connects with TLS 1.3.
    pub(crate) fn client(&self) -> Client {
        self.client_with(Suite::Tls13Aes128)
    }

    /// Connects with one suite.
    pub(crate) fn client_with(&self, suite: Suite) -> Client {
        let mut config = self.certificates.client_config(suite);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client::connect(self.address, config)
    }

    /// One request on a connection of its own, for tests that care about its status only.
    pub(crate) fn status(&self, head: &str) -> u16 {
        let mut client = self.client();
        client.send(head);
        client.response().status
    }

    /// Runs curl on `path` and gives what it wrote.
    pub(crate) fn curl(&self, options: &[&str], path: &str) -> Finished {
        let mut command = peers::curl(&self.certificates, self.address);
        command.args(options).arg(peers::url(self.address, path));
        Peer::spawn(&mut command).finish()
    }

    /// Waits for a line of the access log, from stdout, that `wanted` accepts.
    pub(crate) fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = log_lines(&self.peer.stdout());
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "no such line in {lines:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.peer.id()).expect("a process id");
        let pid = Pid::from_raw(id).expect("not zero");
        kill_process(pid, signal).expect("the server takes signals");
    }

    /// Ends the server in an orderly way.
    pub(crate) fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.peer.finish()
    }
}

/// Parses the complete lines of an access log.
pub(crate) fn log_lines(bytes: &[u8]) -> Vec<Value> {
    let end = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    bytes[..end]
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
        .collect()
}

/// The binary, in an environment that the tests decide.
pub(crate) fn underseal() -> Command {
    in_clean_environment(Command::new(env!("CARGO_BIN_EXE_underseal")))
}

pub(crate) fn in_clean_environment(mut command: Command) -> Command {
    for variable in ["RUST_LOG", "NO_COLOR", "XDG_STATE_HOME", "COLUMNS"] {
        command.env_remove(variable);
    }
    // Out of the way of servers that somebody uses on this machine.
    command.env("UNDERSEAL_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Waits for the start text and reads the address from it.
pub(crate) fn address_of(peer: &Peer) -> SocketAddr {
    let line = peer.wait_for("listen       ");
    let address = line.split_whitespace().nth(1).expect("an address");
    // The fingerprint is printed after the address; by then the text is complete but for a line.
    peer.wait_for("sha256       ");
    address.parse().expect("an address")
}

/// The SHA-256 fingerprint of a PEM certificate, as the server prints it.
pub(crate) fn fingerprint(certificate: &Path) -> String {
    let output = Command::new(underseal_testkit::require_program("openssl"))
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(certificate)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, digits) = text.trim().split_once('=').expect("a fingerprint");
    digits.to_owned()
}
