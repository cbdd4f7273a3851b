//! nginx serves files over TLS that it takes for the kernel's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use underseal_testkit::{Certificates, KeyType, PATIENCE, Peer, peers, require_program};

use crate::library::under_the_library;

/// Bytes of the large file.
const LARGE: usize = 100 << 20;

/// nginx with one worker, which it takes with it.
pub(crate) struct Nginx {
    certificates: Certificates,
    address: SocketAddr,
    directory: tempfile::TempDir,
    log: PathBuf,
    /// Its process, which started it or is it.
    peer: Peer,
    /// Its number.
    master: u32,
}

impl Nginx {
    /// Serves files named by their length, with `ssl` among the directives of the server.
    pub(crate) fn start(ssl: &str, files: &[usize]) -> Self {
        Self::start_as(ssl, files, |_| Command::new(require_program("nginx")))
    }

    /// The same, by a command that `program` makes for a directory.
    pub(crate) fn start_as(ssl: &str, files: &[usize], program: impl Fn(&Path) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let certificates = Certificates::new(KeyType::Ecdsa);
        for len in files {
            fs::write(root.join(len.to_string()), content(*len)).expect("a file");
        }
        let (peer, address) = peers::spawn_on_free_port(|port| {
            let file = root.join("nginx.conf");
            let configuration = configuration(root, port, ssl, &certificates);
            fs::write(&file, configuration).expect("a configuration");
            let mut command = program(root);
            command.arg("-e").arg(root.join("errors"));
            command.arg("-p").arg(root).arg("-c").arg(file);
            under_the_library(&mut command);
            command
        });
        Self {
            certificates,
            address,
            log: root.join("errors"),
            directory,
            master: peer.id(),
            peer,
        }
    }

    pub(crate) fn fetch(&self, len: usize, arguments: &[&str]) -> Vec<u8> {
        let mut command = peers::curl(&self.certificates, self.address);
        command.args(arguments);
        command.arg(peers::url(self.address, &format!("/{len}")));
        Peer::spawn(&mut command).finish().successful().stdout
    }

    /// What nginx says of itself, if it was built with `--with-debug`, as Debian's is.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }
}

impl Nginx {
    /// Where it and its files are.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Uploads one of the files under another name.
    fn put(&self, len: usize, name: &str, version: &str) {
        let mut command = peers::curl(&self.certificates, self.address);
        command.args([version, "--expect100-timeout", "0.01", "--upload-file"]);
        command.arg(self.root().join(len.to_string()));
        command.arg(peers::url(self.address, &format!("/{name}")));
        Peer::spawn(&mut command).finish().successful();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.master).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether there is a process of its number.
    pub(crate) fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}", self.master)).exists()
    }

    /// Says that another process has started it, and ends when that is killed.
    pub(crate) fn started_by_another(mut self) -> Self {
        let pid = self.root().join("pid");
        self.master = eventually(|| fs::read_to_string(&pid).ok()?.trim().parse().ok());
        self
    }

    /// The numbers of its workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        Self::workers_of(self.master)
    }

    /// Those of another master.
    pub(crate) fn workers_of(master: u32) -> Vec<u32> {
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.expect("a master");
        let numbers = children.split_whitespace().map(str::parse);
        numbers.map(|number| number.expect("a number")).collect()
    }

    /// The same, as soon as there are any.
    fn started_workers(&self) -> Vec<u32> {
        eventually(|| Some(self.workers()).filter(|workers| !workers.is_empty()))
    }

    /// How many descriptors its worker has.
    fn descriptors(&self) -> usize {
        let [worker] = self.workers()[..] else {
            panic!("one worker: {:?}", self.workers());
        };
        fs::read_dir(format!("/proc/{worker}/fd"))
            .expect("a worker")
            .count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers would outlive it if it were killed.
        self.signal(Signal::TERM);
        for _ in 0..500 {
            let is_there = match self.master == self.peer.id() {
                true => self.peer.is_running(),
                false => self.is_running(),
            };
            if !is_there {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// Bytes without a period that any piece of a transfer could have.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = vec![0; len.next_multiple_of(8)];
    for word in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn configuration(root: &Path, port: u16, ssl: &str, certificates: &Certificates) -> String {
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    let directory = root.display();
    let ssl = ssl.replace("CA;", &format!("{};", certificates.ca_file().display()));
    let certificate = certificates.server_cert_file();
    let key = certificates.server_key_file();
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "daemon off;
{user}
worker_processes 1;
pid {directory}/pid;
error_log {directory}/errors debug;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_conf_command Options KTLS;
        client_max_body_size 0;
        dav_methods PUT;
        {ssl}
        root {directory};
    }}
}}
"
    )
}

#[test]
fn nginx_sends_a_file_of_100_mib_bit_for_bit_and_leaves_the_sealing_to_the_socket() {
    let nginx = Nginx::start(
        "ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
        &[LARGE, 1000],
    );
    for version in ["--http1.1", "--http2"] {
        let fetched = nginx.fetch(LARGE, &[version]);
        assert!(fetched == content(LARGE), "{version}: they differ");
    }
    assert!(
        nginx.fetch(1000, &["--http1.1"]) == content(1000),
        "they differ"
    );
    let log = nginx.log();
    assert!(log.contains("SSL_sendfile"), "nginx has sealed by itself");
}

#[test]
fn every_suite_of_both_versions_is_sealed_by_the_socket() {
    let suites = [
        ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
    ];
    for (version, suite) in suites {
        let cipher = match version {
            "TLSv1.2" => format!("ssl_ciphers {suite};"),
            _ => format!("ssl_conf_command Ciphersuites {suite};"),
        };
        let nginx = Nginx::start(&format!("ssl_protocols {version}; {cipher}"), &[3_000_000]);
        let fetched = nginx.fetch(3_000_000, &["--http1.1"]);
        assert!(fetched == content(3_000_000), "{suite}: they differ");
        let fetched = nginx.fetch(3_000_000, &["--http2"]);
        assert!(fetched == content(3_000_000), "{suite}: they differ");
        assert!(nginx.log().contains("SSL_sendfile"), "{suite}");
    }
}

#[test]
fn a_suite_that_we_do_not_seal_is_left_to_the_program() {
    let nginx = Nginx::start(
        "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-SHA256;",
        &[300_000],
    );
    let fetched = nginx.fetch(300_000, &["--http1.1"]);
    assert!(fetched == content(300_000), "they differ");
    assert!(
        !nginx.log().contains("SSL_sendfile"),
        "nobody could seal it"
    );
}

/// The system calls by which a socket whose records are opened is read; nginx and OpenSSL use others.
const READS: &str = "recvfrom";

#[test]
fn nginx_takes_an_upload_of_100_mib_bit_for_bit_from_a_socket_that_opens() {
    let traced = |root: &Path| {
        let mut command = Command::new(require_program("strace"));
        command.args(["-f", "-D", "-qq", "-e", &format!("trace={READS}"), "-o"]);
        command
            .arg(root.join("calls"))
            .arg(require_program("nginx"));
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        command
    };
    let untraced = |_: &Path| {
        let mut command = Command::new(require_program("nginx"));
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        command
    };
    for (suite, version) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "--http1.1"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "--http2"),
    ] {
        let ssl = format!("ssl_protocols TLSv1.2; ssl_ciphers {suite};");
        let nginx = Nginx::start_as(&ssl, &[LARGE], untraced);
        nginx.put(LARGE, "uploaded", version);
        let uploaded = fs::read(nginx.root().join("uploaded")).expect("a file");
        assert!(
            uploaded == content(LARGE),
            "{suite}, {version}: they differ"
        );
        let nginx = Nginx::start_as(&ssl, &[100_000], traced);
        nginx.put(100_000, "uploaded", version);
        let calls = fs::read_to_string(nginx.root().join("calls")).expect("a trace");
        // One of them is nginx' own look at the first byte; a record is at least one more.
        let reads = calls.matches(READS).count();
        assert!(reads > 100_000 / (1 << 14), "OpenSSL has opened: {reads}");
    }
}

#[test]
fn nginx_takes_an_upload_of_100_mib_beside_a_socket_that_seals_alone() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[LARGE, 1000]);
    for version in ["--http1.1", "--http2"] {
        nginx.put(LARGE, version, version);
        let uploaded = fs::read(nginx.root().join(version)).expect("a file");
        assert!(uploaded == content(LARGE), "{version}: they differ");
        let fetched = nginx.fetch(1000, &[version]);
        assert!(fetched == content(1000), "{version}: they differ");
    }
    let log = nginx.log();
    assert!(log.contains("SSL_sendfile"), "nginx has sealed by itself");
}

#[test]
fn slow_readers_at_once_get_what_they_asked_for() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[2_000_000]);
    let expected = content(2_000_000);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let fetched = nginx.fetch(2_000_000, &["--http1.1", "--limit-rate", "1M"]);
                assert!(fetched == expected, "they differ");
            });
        }
    });
    assert!(
        nginx.log().contains("SSL_sendfile"),
        "nginx has sealed by itself"
    );
}

#[test]
fn connections_that_end_leave_nothing_behind_however_they_end() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[1000, 20_000_000]);
    assert!(
        nginx.fetch(1000, &["--http1.1"]) == content(1000),
        "they differ"
    );
    // The inert socket is there from now on.
    let before = eventually(|| Some(nginx.descriptors()).filter(|count| *count > 0));
    for _ in 0..10 {
        assert!(
            nginx.fetch(1000, &["--http1.1"]) == content(1000),
            "they differ"
        );
        let mut command = peers::curl(&nginx.certificates, nginx.address);
        command.args(["--http1.1", "--limit-rate", "100K", "--max-time", "0.2"]);
        command.arg(peers::url(nginx.address, "/20000000"));
        let aborted = Peer::spawn(&mut command).finish();
        assert!(!aborted.status.success(), "it takes longer than that");
    }
    eventually(|| (nginx.descriptors() <= before).then_some(()));
    assert!(
        nginx.log().contains("SSL_sendfile"),
        "nginx has sealed by itself"
    );
}

#[test]
fn sixty_four_downloads_at_once_are_whole() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[1_000_000]);
    let names: Vec<String> = (0..64).map(|number| format!("got-{number}")).collect();
    let mut command = peers::curl(&nginx.certificates, nginx.address);
    command.args(["--http1.1", "--parallel", "--parallel-max", "64"]);
    command.arg("--parallel-immediate");
    for name in &names {
        command.arg("--output").arg(nginx.root().join(name));
        command.arg(peers::url(nginx.address, "/1000000"));
    }
    Peer::spawn(&mut command).finish().successful();
    let expected = content(1_000_000);
    for name in names {
        let got = fs::read(nginx.root().join(&name)).expect("a file");
        assert!(got == expected, "{name}: they differ");
    }
    assert!(nginx.log().contains("SSL_sendfile"));
}

#[test]
fn clients_with_certificates_get_what_the_socket_seals() {
    // The directives follow those with the server's certificate; its authority is the clients' too.
    let certificates = "ssl_verify_client on; ssl_client_certificate CA;";
    for version in ["TLSv1.2", "TLSv1.3"] {
        let ssl = format!("ssl_protocols {version}; {certificates}");
        let nginx = Nginx::start(&ssl, &[300_000]);
        let certificate = nginx.certificates.client_cert_file().display().to_string();
        let key = nginx.certificates.client_key_file().display().to_string();
        let fetched = nginx.fetch(300_000, &["--cert", &certificate, "--key", &key]);
        assert!(fetched == content(300_000), "{version}: they differ");
        assert!(nginx.log().contains("SSL_sendfile"), "{version}");
    }
}

#[test]
fn a_file_that_shrinks_ends_its_own_download_alone() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[1000, 20_000_000]);
    let workers = nginx.started_workers();
    let mut command = peers::curl(&nginx.certificates, nginx.address);
    command.args(["--http1.1", "--limit-rate", "3M"]);
    command.arg(peers::url(nginx.address, "/20000000"));
    let download = Peer::spawn(&mut command);
    download.wait_for_stdout(100_000);
    let file = fs::File::options()
        .write(true)
        .open(nginx.root().join("20000000"));
    file.expect("a file")
        .set_len(200_000)
        .expect("a shorter file");
    let finished = download.finish();
    assert!(!finished.status.success(), "it cannot be whole");
    assert!(
        content(20_000_000).starts_with(&finished.stdout),
        "they differ"
    );
    assert!(
        nginx.fetch(1000, &["--http1.1"]) == content(1000),
        "they differ"
    );
    assert_eq!(nginx.workers(), workers, "nobody has crashed");
}

#[test]
fn a_worker_that_is_killed_is_replaced_by_one_that_seals() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[1000, 20_000_000]);
    for wait in [0, 30, 100] {
        let before = nginx.started_workers();
        let mut command = peers::curl(&nginx.certificates, nginx.address);
        command.args(["--http1.1", "--limit-rate", "1M"]);
        command.arg(peers::url(nginx.address, "/20000000"));
        let download = Peer::spawn(&mut command);
        download.wait_for_stdout(1);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        for worker in &before {
            let pid = i32::try_from(*worker).ok().and_then(Pid::from_raw);
            let _ = kill_process(pid.expect("a number"), Signal::KILL);
        }
        let finished = download.finish();
        assert!(!finished.status.success(), "it cannot be whole");
        assert!(
            content(20_000_000).starts_with(&finished.stdout),
            "they differ"
        );
        eventually(|| {
            nginx
                .workers()
                .iter()
                .any(|worker| !before.contains(worker))
                .then_some(())
        });
        assert!(
            nginx.fetch(1000, &["--http1.1"]) == content(1000),
            "they differ"
        );
    }
}

#[test]
fn a_reload_ends_no_download_and_the_new_worker_seals_as_the_old_one() {
    let nginx = Nginx::start("ssl_protocols TLSv1.3;", &[3_000_000]);
    let expected = content(3_000_000);
    let old = nginx.workers();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| nginx.fetch(3_000_000, &["--http1.1", "--limit-rate", "1M"]));
        eventually(|| nginx.log().contains("SSL_sendfile").then_some(()));
        nginx.signal(Signal::HUP);
        eventually(|| {
            nginx
                .workers()
                .iter()
                .any(|worker| !old.contains(worker))
                .then_some(())
        });
        for _ in 0..4 {
            assert!(
                nginx.fetch(3_000_000, &["--http1.1"]) == expected,
                "they differ"
            );
        }
        assert!(slow.join().expect("a download") == expected, "they differ");
    });
    let log = nginx.log();
    let new = nginx
        .workers()
        .into_iter()
        .find(|worker| !old.contains(worker));
    let new = format!("{}#", new.expect("a worker"));
    let has_sealed = |line: &str| line.contains(&new) && line.contains("SSL_sendfile");
    assert!(
        log.lines().any(has_sealed),
        "the new worker has sealed by itself"
    );
}

/// What `look` finds, as soon as it does.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < end, "it does not come");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
