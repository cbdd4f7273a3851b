//! A running proxy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use underseal_testkit::{Certificates, Finished, KeyType, PATIENCE, Peer, Suite, peers};

use crate::client::{Client, tcp};

/// `underseal proxy` with certificates of its own; killed when dropped.
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
    directory: TempDir,
}

/// What a proxy is started with.
pub(crate) struct Start {
    listen: &'static str,
    options: Vec<String>,
    certificates: Certificates,
    directory: TempDir,
}

impl Start {
    /// Towards `backend`, an argument of `--to`.
    pub(crate) fn new(backend: impl ToString) -> Self {
        Self {
            listen: "127.0.0.1:0",
            options: vec!["--to".to_owned(), backend.to_string()],
            certificates: Certificates::new(KeyType::Ecdsa),
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Without TLS for clients.
    pub(crate) fn plain(mut self) -> Self {
        self.listen = "plain:127.0.0.1:0";
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

    /// With clients that have to prove who they are.
    pub(crate) fn mutual(mut self) -> Self {
        let file = self.certificates.ca_file().display().to_string();
        self.options.extend(["--client-ca".to_owned(), file]);
        self
    }

    pub(crate) fn start(self) -> Proxy {
        let mut command = underseal();
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
        let peer = Peer::spawn(&mut command);
        peer.wait_for("ready\n");
        let line = peer.wait_for("listen       ");
        let address = line.split_whitespace().nth(1).expect("an address");
        Proxy {
            address: address.parse().expect("an address"),
            peer,
            certificates: self.certificates,
            directory: self.directory,
        }
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

    /// Connects with TLS 1.3.
    pub(crate) fn client(&self) -> Client {
        let mut config = self.certificates.client_config(Suite::Tls13Aes128);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client::connect(self.address, config)
    }

    /// The same, with the client's certificate.
    pub(crate) fn mutual_client(&self) -> Client {
        let config = self.certificates.mutual_client_config(Suite::Tls13Aes128);
        Client::connect(self.address, config)
    }

    /// Connects without TLS.
    pub(crate) fn tcp(&self) -> TcpStream {
        tcp(self.address)
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

    /// The file of the policy.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.directory.path().join("policy.yaml")
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
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).expect("send");
        let mut text = String::new();
        tcp.read_to_string(&mut text).expect("an answer");
        text
    }

    /// Sends a signal to the proxy.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.peer.id()).expect("a process id");
        let pid = Pid::from_raw(id).expect("not zero");
        kill_process(pid, signal).expect("the proxy takes signals");
    }
}

/// Parses the complete lines of an access log.
pub(crate) fn log_lines(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// The binary, in an environment that the tests decide.
pub(crate) fn underseal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
    for variable in ["RUST_LOG", "NO_COLOR", "XDG_STATE_HOME", "COLUMNS"] {
        command.env_remove(variable);
    }
    // Out of the way of servers that somebody uses on this machine.
    command.env("UNDERSEAL_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Sends close_notify; reading goes on.
pub(crate) fn close_notify(client: &mut Client) {
    client.tls().conn.send_close_notify();
    client.send("");
}
