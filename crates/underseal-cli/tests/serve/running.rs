//! A running `underseal` that accepts connections, whatever it does with them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use underseal_sys::inet_diag;
use underseal_testkit::{Certificates, Finished, PATIENCE, Peer, Suite, peers};

use crate::client::Client;

/// The process, and what it takes to speak with it; killed when dropped.
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
}

impl Running {
    /// Starts `command`, and waits for what it prints once it accepts connections: the address, and
    /// what comes after it at `last`.
    pub(crate) fn start(command: &mut Command, certificates: Certificates, last: &str) -> Self {
        let peer = Peer::spawn(command);
        peer.wait_for(last);
        let line = peer.wait_for("listen       ");
        let address = line.split_whitespace().nth(1).expect("an address");
        Self {
            address: address.parse().expect("an address"),
            peer,
            certificates,
        }
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

    /// Runs `act` while the process stands still, so that it finds all of what was done at once: `act` resets
    /// the clients whose addresses it gives.
    pub(crate) fn while_stopped(&self, act: impl FnOnce() -> Vec<SocketAddr>) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.peer.id());
        wait_until("it runs on", || {
            let tasks = std::fs::read_dir(&tasks).expect("a process");
            let mut stats = tasks.map(|task| task.expect("a thread").path().join("stat"));
            stats.all(|stat| std::fs::read_to_string(stat).is_ok_and(|text| text.contains(") T ")))
        });
        for client in act() {
            wait_until("no reset", || {
                // Where there is none, the kernel tells of the listener.
                let found = inet_diag::tcp_socket(self.address, client);
                let found = found.expect("the kernel answers");
                found.is_none_or(|found| found.peer != client)
            });
        }
        self.signal(Signal::CONT);
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.peer.id()).expect("a process id");
        let pid = Pid::from_raw(id).expect("not zero");
        kill_process(pid, signal).expect("it takes signals");
    }
}

pub(crate) fn wait_until(otherwise: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(1));
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

/// The binary with so many descriptors, hard and soft.
pub(crate) fn limited(most: u32) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    command.args(["-c", &script]);
    command.arg(env!("CARGO_BIN_EXE_underseal"));
    in_clean_environment(command)
}

pub(crate) fn in_clean_environment(mut command: Command) -> Command {
    for variable in ["RUST_LOG", "NO_COLOR", "XDG_STATE_HOME", "COLUMNS"] {
        command.env_remove(variable);
    }
    // Out of the way of servers that somebody uses on this machine.
    command.env("UNDERSEAL_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}
