//! A running proxy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use underseal_testkit::{Certificates, KeyType, Suite};

use crate::client::{Client, tcp};
use crate::running::{Running, limited, underseal};

/// `underseal proxy` with certificates of its own; killed when dropped.
pub(crate) struct Proxy {
    pub(crate) running: Running,
    directory: TempDir,
}

impl Deref for Proxy {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// What a proxy is started with.
pub(crate) struct Start {
    listen: &'static str,
    options: Vec<String>,
    certificates: Certificates,
    directory: TempDir,
    /// Most descriptors, where they are limited.
    files: Option<u32>,
}

impl Start {
    /// Towards `backend`, an argument of `--to`.
    pub(crate) fn new(backend: impl ToString) -> Self {
        Self {
            listen: "127.0.0.1:0",
            options: vec!["--to".to_owned(), backend.to_string()],
            certificates: Certificates::new(KeyType::Ecdsa),
            directory: tempfile::tempdir().expect("a directory"),
            files: None,
        }
    }

    /// With so many descriptors, and no more.
    pub(crate) fn files(mut self, most: u32) -> Self {
        self.files = Some(most);
        self
    }

    /// Without TLS for clients.
    pub(crate) fn plain(mut self) -> Self {
        self.listen = "plain:127.0.0.1:0";
        self
    }

    /// With these certificates instead of its own.
    pub(crate) fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// With more options.
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// With a policy, kept in `policy.yaml`.
    pub(crate) fn policy(mut self, spec: &str) -> Self {
        let file = self.directory.path().join("policy.yaml");
        fs::write(&file, policy("orders", spec)).expect("write a policy");
        self.options.push("--policy".to_owned());
        self.options.push(file.display().to_string());
        self
    }

    /// The file of the policy.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.directory.path().join("policy.yaml")
    }

    /// With clients that have to prove who they are.
    pub(crate) fn mutual(mut self) -> Self {
        let file = self.certificates.ca_file().display().to_string();
        self.options.extend(["--client-ca".to_owned(), file]);
        self
    }

    pub(crate) fn start(self) -> Proxy {
        Proxy {
            running: Running::start(&mut self.command(), self.certificates, "ready\n"),
            directory: self.directory,
        }
    }

    /// Starts one that has to fail; what it says, and its exit code.
    pub(crate) fn refused(self) -> (String, Option<i32>) {
        let ended = self.command().output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        (said, ended.status.code())
    }

    fn command(&self) -> Command {
        let mut command = match self.files {
            None => underseal(),
            Some(most) => limited(most),
        };
        command.args(["proxy", "--listen", self.listen]);
        if !self.listen.starts_with("plain:") {
            command
                .arg("--cert")
                .arg(self.certificates.server_cert_file());
            command
                .arg("--key")
                .arg(self.certificates.server_key_file());
        }
        command.args(&self.options);
        command
    }
}

/// A policy called `name` with this specification.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{ name: {name} }}\n\
         spec: {spec}\n"
    )
}

impl Proxy {
    /// TLS in front of `backend`.
    pub(crate) fn start(backend: impl ToString) -> Self {
        Start::new(backend).start()
    }

    /// Connects with TLS 1.3 and the client's certificate.
    pub(crate) fn mutual_client(&self) -> Client {
        let config = self.certificates.mutual_client_config(Suite::Tls13Aes128);
        Client::connect(self.address, config)
    }

    /// Connects without TLS.
    pub(crate) fn tcp(&self) -> TcpStream {
        tcp(self.address)
    }

    /// The file of the policy.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.directory.path().join("policy.yaml")
    }

    /// Waits for the line of a path.
    pub(crate) fn logged_path(&self, path: &str) -> Value {
        self.logged(|line| line["path"] == path)
    }

    /// What the admin port answers; `--admin` is an option to start with.
    pub(crate) fn admin(&self, path: &str) -> String {
        let line = self.peer.wait_for("admin        http://");
        let address = line.split("http://").nth(1).expect("an address");
        let address = address.split('/').next().expect("an address");
        let mut tcp = tcp(address.parse().expect("an address"));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        text
    }
}

/// Sends close_notify; reading goes on.
pub(crate) fn close_notify(client: &mut Client) {
    client.tls().conn.send_close_notify();
    client.send("");
}
