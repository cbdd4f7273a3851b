//! A running server and the directory it serves.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use underseal_testkit::{Certificates, Finished, KeyType};

use crate::running::{Running, underseal};

/// `underseal serve` with certificates of its own; killed when dropped.
pub(crate) struct Server {
    pub(crate) running: Running,
    root: TempDir,
}

impl Deref for Server {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
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
        // The fingerprint is printed after the address; by then the text is complete but for a line.
        let running = Running::start(&mut command, certificates, "sha256       ");
        Self { running, root }
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

    /// Ends the server in an orderly way.
    pub(crate) fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.running.peer.finish()
    }
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
