//! `underseal conns` beside running servers, and beside others of this machine, which are no test's business.

use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, fstat, memfd_create};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use underseal_testkit::{Finished, PATIENCE, Peer, Suite};
use underseal_ulp::listing::{ENTRY, INODE, Listed, NAME, SUITE};

use crate::client::Client;
use crate::harness::Server;
use crate::running::underseal;

/// A runtime directory of a test's own, which no other test's servers are in. Programs under `underseal run`
/// are listed wherever they are, so a test looks at its own servers.
struct Machine {
    parent: TempDir,
    /// The servers that were started.
    pids: RefCell<Vec<u32>>,
}

/// A connection that this process lists as a program under `underseal run` does.
struct Stranger {
    _list: File,
    _ends: [TcpStream; 2],
}

impl Stranger {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let near = TcpStream::connect(address).expect("a connection");
        let (far, _) = listener.accept().expect("a connection");
        let mut entry = [0; ENTRY];
        for (word, value) in [
            (INODE, fstat(&near).expect("a socket").st_ino),
            (SUITE, Listed::suite(0x0304, 51, true, true)),
        ] {
            entry[word * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        }
        let list = memfd_create(NAME, MemfdFlags::CLOEXEC).expect("a file in memory");
        let list = File::from(list);
        list.write_all_at(&entry, 0).expect("an entry");
        Self {
            _list: list,
            _ends: [near, far],
        }
    }
}

impl Machine {
    /// With a stranger on it.
    fn new() -> Self {
        static STRANGER: OnceLock<Stranger> = OnceLock::new();
        STRANGER.get_or_init(Stranger::new);
        Self {
            parent: tempfile::tempdir().expect("a directory"),
            pids: RefCell::default(),
        }
    }

    fn runtime(&self) -> PathBuf {
        self.parent.path().join("run")
    }

    fn serve(&self) -> Server {
        self.serve_with(&["--workers", "2"])
    }

    fn serve_with(&self, options: &[&str]) -> Server {
        let mut command = underseal();
        command.env("UNDERSEAL_RUNTIME_DIR", self.runtime());
        let server = Server::from_command(command, options);
        self.pids.borrow_mut().push(server.peer.id());
        server
    }

    fn conns(&self, options: &[&str]) -> Finished {
        let mut command = underseal();
        command.env("UNDERSEAL_RUNTIME_DIR", self.runtime());
        Peer::spawn(command.arg("conns").args(options)).finish()
    }

    fn rows(&self, options: &[&str]) -> Vec<Value> {
        let listed = self.conns(&[&["--json"], options].concat()).successful();
        self.own_rows(listed)
    }

    /// What was listed of the test's own servers.
    fn own_rows(&self, listed: Finished) -> Vec<Value> {
        let lines = String::from_utf8(listed.stdout).expect("UTF-8");
        let parse = |line| serde_json::from_str(line).expect("JSON");
        let rows = lines.lines().map(parse);
        rows.filter(|row| self.pids.borrow().contains(&pid(row)))
            .collect()
    }

    /// Lists again until `enough`: a server counts what it sent after its client has it.
    fn rows_when(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(&[]);
            if enough(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "never so: {rows:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.runtime()).expect("a runtime directory");
        entries.map(|entry| entry.expect("read").path()).collect()
    }

    /// Answers the next asker with `text`, in the place of a process.
    fn pretend(&self, name: &str, text: &'static str) {
        if !self.runtime().exists() {
            fs::create_dir(self.runtime()).expect("made");
            fs::set_permissions(self.runtime(), Permissions::from_mode(0o700)).expect("chmod");
        }
        let listener = UnixListener::bind(self.runtime().join(name)).expect("bind");
        thread::spawn(move || {
            let (mut asker, _) = listener.accept().expect("somebody asks");
            asker.write_all(text.as_bytes()).expect("heard");
        });
    }
}

fn peer_address(client: &Client) -> String {
    let address = client.tcp().local_addr().expect("connected");
    address.to_string()
}

fn get(client: &mut Client, path: &str) {
    client.get(path);
    assert_eq!(client.response().status, 200);
}

fn row_of<'r>(rows: &'r [Value], client: &Client) -> Option<&'r Value> {
    rows.iter().find(|row| row["peer"] == peer_address(client))
}

#[test]
fn each_connection_is_listed_with_what_it_did_and_leaves() {
    let machine = Machine::new();
    let server = machine.serve();
    server.write("f", [7; 1000]);
    let mut old = server.client_with(Suite::Tls12Aes256);
    let mut new = server.client_with(Suite::Tls13Aes128);
    get(&mut old, "/f");
    for _ in 0..3 {
        get(&mut new, "/f");
    }
    let request = "GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n".len() as u64;
    let sent = |rows: &[Value], client: &Client, times: u64| {
        row_of(rows, client).is_some_and(|row| row["tx_bytes"].as_u64() > Some(times * 1000))
    };
    // In any order: two workers may list them at once.
    let rows = machine.rows_when(|rows| sent(rows, &old, 1) && sent(rows, &new, 3));
    assert_eq!(rows.len(), 2, "{rows:#?}");
    let suite_of_12 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    for (client, tls, suite, requests) in [
        (&old, "TLSv1_2", suite_of_12, 1),
        (&new, "TLSv1_3", "TLS13_AES_128_GCM_SHA256", 3),
    ] {
        let row = row_of(&rows, client).expect("it was there");
        assert_eq!(row["pid"], server.peer.id());
        assert_eq!(row["command"], "serve");
        assert_eq!(row["local"], server.address.to_string());
        assert_eq!((&row["tls"], &row["suite"]), (&tls.into(), &suite.into()));
        assert_eq!(row["rx_bytes"], requests * request);
        assert!(row["tx_bytes"].as_u64() < Some(requests * 1500), "{row}");
        // This machine's kernel may have TLS or not; in virtual machines it has.
        for direction in ["tx_engine", "rx_engine"] {
            let engine = row[direction].as_str().expect("a name");
            assert!(["user", "kernel-software"].contains(&engine), "{row}");
        }
        assert_eq!(
            (&row["tx_key_updates"], &row["rx_key_updates"]),
            (&0.into(), &0.into())
        );
        assert!(row["age_seconds"].as_f64() >= Some(0.0), "{row}");
    }
    drop(old);
    let left = machine.rows_when(|rows| rows.len() == 1);
    assert_eq!(left[0]["peer"], peer_address(&new));
}

#[test]
fn a_download_is_seen_growing() {
    let machine = Machine::new();
    let server = machine.serve();
    let length = 1 << 30;
    server.write_sparse("big", length);
    let mut client = server.client();
    client.get("/big");
    assert_eq!(client.head().status, 200);
    client.read_body(&mut vec![0; 4 << 20]);
    let rows = machine.rows_when(|rows| rows[0]["tx_bytes"].as_u64() >= Some(3 << 20));
    assert!(rows[0]["tx_bytes"].as_u64() < Some(length), "{rows:?}");
}

#[test]
fn key_updates_are_counted_in_each_direction() {
    let machine = Machine::new();
    let server = machine.serve();
    server.write("f", "content");
    let mut client = server.client();
    for _ in 0..2 {
        client.update_keys();
        get(&mut client, "/f");
    }
    let rows = machine.rows_when(|rows| rows[0]["tx_key_updates"] == 2);
    assert_eq!(rows[0]["rx_key_updates"], 2);
}

#[test]
fn every_process_is_asked_and_one_can_be_chosen() {
    let machine = Machine::new();
    let servers = [machine.serve(), machine.serve(), machine.serve()];
    let _clients = servers.each_ref().map(|server| server.client());
    let mut pids = servers.each_ref().map(|server| server.peer.id());
    pids.sort_unstable();
    let rows = machine.rows_when(|rows| rows.len() == 3);
    assert_eq!(rows.iter().map(pid).collect::<Vec<_>>(), pids);
    let chosen = [pids[2], pids[0]].map(|pid| pid.to_string());
    let rows = machine.rows(&["--pid", &chosen[0], "--pid", &chosen[1]]);
    assert_eq!(rows.iter().map(pid).collect::<Vec<_>>(), [pids[0], pids[2]]);
}

fn pid(row: &Value) -> u32 {
    let pid = row["pid"].as_u64().expect("a number");
    u32::try_from(pid).expect("a process id")
}

#[test]
fn what_a_killed_process_left_does_no_harm_and_is_swept() {
    let machine = Machine::new();
    let (mut killed, left) = (machine.serve(), machine.serve());
    let _client = left.client();
    assert_eq!(machine.sockets().len(), 2);
    killed.running.peer.kill();
    assert_eq!(machine.sockets().len(), 2, "it could not tidy up");
    let rows = machine.rows_when(|rows| !rows.is_empty());
    assert_eq!(rows.iter().map(pid).collect::<Vec<_>>(), [left.peer.id()]);
    let name = format!("{}.sock", left.peer.id());
    assert_eq!(machine.sockets(), [machine.runtime().join(name)]);
}

#[test]
fn a_process_takes_its_socket_along_when_it_ends() {
    let machine = Machine::new();
    let server = machine.serve();
    assert_eq!(machine.sockets().len(), 1);
    server.stop().successful();
    assert_eq!(machine.sockets(), [] as [PathBuf; 0]);

    let server = machine.serve();
    server.write_sparse("big", 1 << 30);
    let mut client = server.client();
    client.get("/big");
    client.read_body(&mut [0; 1000]);
    server.signal(Signal::TERM);
    server.peer.wait_for("shutting down");
    assert_eq!(
        machine.rows_when(|rows| rows.len() == 1).len(),
        1,
        "still seen"
    );
    server.stop().successful();
    assert_eq!(machine.sockets(), [] as [PathBuf; 0]);
}

#[test]
fn nobody_else_can_ask() {
    let machine = Machine::new();
    let _server = machine.serve();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&machine.runtime()), 0o700);
    let sockets = machine.sockets();
    assert_eq!(sockets.len(), 1);
    assert_eq!(mode(&sockets[0]), 0o600);
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let machine = Machine::new();
    machine.pretend("1.sock", "");
    fs::set_permissions(machine.runtime(), Permissions::from_mode(0o777)).expect("chmod");
    let server = machine.serve();
    server.write("f", "served");
    server
        .peer
        .wait_for("`underseal conns` cannot see this process");
    get(&mut server.client(), "/f");
    let listed = machine.conns(&["--pid", &server.peer.id().to_string()]);
    assert!(
        listed.stderr.contains("no underseal process answers"),
        "{}",
        listed.stderr
    );
}

#[test]
fn with_nothing_to_list_it_says_what_to_do() {
    let machine = Machine::new();
    let listed = machine.conns(&["--pid", "1"]);
    assert_eq!(listed.status.code(), Some(1));
    assert!(listed.stdout.is_empty());
    let looked_in = machine.runtime().display().to_string();
    assert!(listed.stderr.contains(&looked_in), "{}", listed.stderr);
    assert!(
        listed
            .stderr
            .contains("hint: start one with `underseal serve"),
        "{}",
        listed.stderr
    );

    let server = machine.serve();
    let own = server.peer.id().to_string();
    for all in [&["--all"][..], &[]] {
        let listed = machine
            .conns(&[all, &["--pid", &own]].concat())
            .successful();
        assert!(listed.stdout.is_empty());
        assert_eq!(listed.stderr, "one underseal process, no connection\n");
    }

    let expected = "error: no underseal process with PID 1 answers\nhint: ";
    let missing = machine.conns(&["--pid", &own, "--pid", "1"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains(expected), "{}", missing.stderr);
    // Processes do answer, and it does not say otherwise.
    let missing = machine.conns(&["--pid", "1"]);
    assert!(missing.stderr.starts_with(expected), "{}", missing.stderr);
}

#[test]
fn a_table_has_a_line_per_connection() {
    let machine = Machine::new();
    let server = machine.serve();
    let clients = [server.client(), server.client()];
    machine.rows_when(|rows| rows.len() == 2);
    let own = server.peer.id().to_string();
    let table = machine.conns(&["--pid", &own]).successful().text();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(
        table.starts_with("PID") || table.trim_start().starts_with("PID"),
        "{table}"
    );
    for client in &clients {
        assert!(table.contains(&peer_address(client)), "{table}");
    }
}

#[test]
fn a_process_that_talks_nonsense_is_reported_and_the_rest_is_listed() {
    let machine = Machine::new();
    let server = machine.serve();
    let _client = server.client();
    machine.rows_when(|rows| rows.len() == 1);
    machine.pretend("1.sock", "{\"pid\":\"\u{1b}[2J\"}\n");
    let listed = machine.conns(&["--json"]);
    assert_eq!(listed.status.code(), Some(1));
    assert!(
        listed.stderr.contains("error: the list is not complete: "),
        "{}",
        listed.stderr
    );
    assert!(!listed.stderr.contains('\u{1b}'));
    assert_eq!(machine.own_rows(listed).len(), 1);
}

/// A download by sendfile(2), small answers beside it, and what `conns` makes of the sockets.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_server_in_the_kernel_is_listed_as_one() {
    let machine = Machine::new();
    let server = machine.serve_with(&["--offload", "kernel"]);
    let big: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    server.write("small", "in one record");
    server.write("big", &big);
    let suites = [Suite::Tls13Aes128, Suite::Tls12Aes256, Suite::Tls13ChaCha20];
    let clients: Vec<_> = suites
        .into_iter()
        .map(|suite| {
            let mut client = server.client_with(suite);
            for _ in 0..2 {
                client.get("/big");
                assert!(client.response().body == big, "{suite:?}");
                client.get("/small");
                assert_eq!(client.response().body, b"in one record");
            }
            client
        })
        .collect();
    let rows = machine.rows_when(|rows| rows.len() == clients.len());
    for row in rows {
        assert_eq!(row["tx_engine"], "kernel-software", "{row}");
        assert_eq!(row["rx_engine"], "kernel-software", "{row}");
    }
}

/// By itself `serve` leaves small answers to the user engine.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_server_moves_into_the_kernel_at_a_large_file() {
    let machine = Machine::new();
    let server = machine.serve();
    server.write("small", "in one record");
    server.write("big", vec![7; 1 << 20]);
    let mut client = server.client_with(Suite::Tls12Aes128);
    for (path, engine) in [("/small", "user"), ("/big", "kernel-software")] {
        client.get(path);
        assert_eq!(client.response().status, 200);
        let rows = machine.rows_when(|rows| rows.len() == 1 && rows[0]["tx_engine"] == engine);
        assert_eq!(rows[0]["rx_engine"], "user", "{path}");
    }
}
