//! No copy of a secret stays in memory after its connection closed.
//!
//! A child process has the connection, because the peer's half of it has the same secrets; this one
//! looks through the child's memory. The child is this test binary once more: an environment variable
//! tells it what to do.

#![cfg(feature = "aws_lc_rs")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{KeyLog, ServerConfig};
use underseal::record::{Algorithm, TrafficKeys, TrafficSecret};
use underseal::{
    BACKEND_VARIABLE, Engine, Engines, KeyUpdateRequest, Offload, Parts, ServerConnection, blocking,
};
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};
use underseal_testkit::{Certificates, KeyType, PATIENCE, RecordPeer, SERVER_NAME, Suite};
use zeroize::Zeroizing;

/// Where the child connects.
const ADDRESS: &str = "UNDERSEAL_TEST_SECRETS";

/// The files of the certificate and of its key, for a child that makes the handshake.
const IDENTITY: [&str; 2] = ["UNDERSEAL_TEST_CERTIFICATE", "UNDERSEAL_TEST_KEY"];

/// Set for a child that is to have the kernel seal and open.
const KERNEL: &str = "UNDERSEAL_TEST_KERNEL";

/// What a key log says before the secrets of exporters: TLS 1.3, and TLS 1.2.
const EXPORTER: &str = "EXPORTER_SECRET";
const MASTER: &str = "CLIENT_RANDOM";

type Stream = blocking::TlsStream<TcpStream, ServerConnection>;

/// A process that has the connection, and waits to be looked at.
struct Kept {
    child: Child,
    control: TcpStream,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kept {
    /// This test binary once more; it connects to `listener` for its orders first.
    fn start(listener: &TcpListener, test: &str, environment: &[(&str, &OsStr)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--include-ignored", "--exact", test]);
        command.env(ADDRESS, listener.local_addr().unwrap().to_string());
        command.env(BACKEND_VARIABLE, "aws-lc-rs");
        command.envs(environment.iter().copied());
        command.stdout(Stdio::null()).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let (control, _) = listener.accept().unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { child, control }
    }

    /// What is found once the child has come to its next stop, where it says so and waits.
    fn found_at_next_stop(&mut self, needles: &Needles) -> Vec<String> {
        self.control.read_exact(&mut [0]).unwrap();
        let found = found(&self.child, needles);
        self.control.write_all(b"!").unwrap();
        found
    }
}

/// The child is looked at now.
fn stop(control: &mut TcpStream) {
    control.write_all(b"?").unwrap();
    control.read_exact(&mut [0]).unwrap();
}

/// What must not be found, by what it is.
type Needles = Vec<(String, Vec<u8>)>;

fn needle_of_keys(needles: &mut Needles, what: &str, keys: &TrafficKeys) {
    needles.push((format!("{what} key"), keys.dangerous_key().to_vec()));
}

fn needles_of_secret(needles: &mut Needles, what: &str, secret: &mut TrafficSecret) {
    for generation in 0..2 {
        let name = format!("{what} {generation}");
        needles.push((format!("{name} secret"), secret.dangerous_bytes().to_vec()));
        needle_of_keys(needles, &name, &secret.keys());
        secret.update();
    }
}

/// Memory that the kernel shows to nobody: its clock.
const UNREADABLE: [&str; 3] = ["[vvar]", "[vvar_vclock]", "[vsyscall]"];

/// Every place of a needle in the memory of `child`, but for what is in its files.
fn found(child: &Child, needles: &Needles) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    let memory = File::open(format!("/proc/{}/mem", child.id())).unwrap();
    let mut places = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, access) = (fields.next().unwrap(), fields.next().unwrap());
        let name = fields.nth(3).unwrap_or_default();
        let is_of_file = name.starts_with('/') && !access.contains('w');
        if is_of_file || !access.starts_with('r') {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let len = (u64::from_str_radix(end, 16).unwrap() - start) as usize;
        let mut bytes = vec![0; len];
        if let Err(error) = memory.read_exact_at(&mut bytes, start) {
            assert!(UNREADABLE.contains(&name), "{error}: {line}");
            continue;
        }
        for (what, needle) in needles {
            let first = needle[0];
            let mut at = 0;
            while let Some(next) = bytes[at..].iter().position(|byte| *byte == first) {
                at += next;
                if bytes[at..].starts_with(needle) {
                    places.push(format!("{what} at {:x} in {line}", start + at as u64));
                }
                at += 1;
            }
        }
    }
    places
}

/// Takes the connection over, uses it, and closes it.
fn take_over(address: &str) {
    let mut control = TcpStream::connect(address).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    let mut len = [0; 8];
    control.read_exact(&mut len).unwrap();
    let mut bytes = Zeroizing::new(vec![0; u64::from_be_bytes(len) as usize]);
    control.read_exact(&mut bytes).unwrap();
    let parts = Parts::<_, ServerConnection>::from_bytes(socket, &bytes).unwrap();
    drop(bytes);
    let mut stream = Stream::from_parts(parts).unwrap();
    if std::env::var_os(KERNEL).is_some() {
        stream.set_offload(Offload::Kernel).unwrap();
        let engine = Engine::Kernel;
        assert_eq!(
            stream.engines(),
            Engines {
                tx: engine,
                rx: engine
            }
        );
    }
    use_and_close(stream, &mut control);
    stop(&mut control);
}

/// In a frame of its own, as any program has it.
#[inline(never)]
fn use_and_close(mut stream: Stream, control: &mut TcpStream) {
    let mut ping = [0; 4];
    stream.read_exact(&mut ping).unwrap();
    stop(control);
    match stream.key_update(KeyUpdateRequest::NotRequested) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    let mut stream = Stream::from_parts(stream.into_parts().unwrap()).unwrap();
    stream.write_all(&ping).unwrap();
    let (socket, bytes) = stream.into_parts().unwrap().into_bytes();
    let parts = Parts::from_bytes(socket, &bytes).unwrap();
    let mut stream = Stream::from_parts(parts).unwrap();
    stream.shutdown().unwrap();
}

/// What is found while a child has a connection that it took over from parts, and after that.
fn left_by_parts(suite: Suite, test: &str, environment: &[(&str, &OsStr)]) -> [Vec<String>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let certificates = Certificates::new(KeyType::Ecdsa);
    let client = certificates.client_config(suite);
    let peer =
        thread::spawn(move || RecordPeer::client(TcpStream::connect(address).unwrap(), client));
    let mut server = certificates.server_config(suite);
    server.send_tls13_tickets = 0;
    let log = Arc::new(Log::default());
    server.key_log = Arc::clone(&log) as _;
    let acceptor = blocking::TlsAcceptor::from(Arc::new(server));
    let stream = acceptor.accept(listener.accept().unwrap().0).unwrap();
    let mut peer = peer.join().unwrap();

    let parts = stream.into_parts().unwrap();
    let mut needles = Needles::new();
    needle_of_keys(&mut needles, "tx", &parts.tx);
    needle_of_keys(&mut needles, "rx", &parts.rx);
    for (what, secret) in [("tx", &parts.tx_secret), ("rx", &parts.rx_secret)] {
        if let Some(secret) = secret {
            let bytes = secret.dangerous_bytes();
            let mut own = TrafficSecret::new(parts.tx.algorithm(), bytes).unwrap();
            needles_of_secret(&mut needles, what, &mut own);
        }
    }
    for (label, bytes) in log.0.lock().unwrap().iter() {
        if [EXPORTER, MASTER].contains(&label.as_str()) {
            needles.push((label.clone(), bytes.clone()));
        }
    }
    let mut child = Kept::start(&listener, test, environment);
    let (io, _) = listener.accept().unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    *peer.io() = io;
    let (_io, bytes) = parts.into_bytes();
    let len = (bytes.len() as u64).to_be_bytes();
    child.control.write_all(&len).unwrap();
    child.control.write_all(&bytes).unwrap();
    peer.send(APPLICATION_DATA, b"ping");
    let live = child.found_at_next_stop(&needles);
    let mut answer = Vec::new();
    while answer != b"ping" {
        match peer.receive().unwrap() {
            (HANDSHAKE, message) if message == key_update(0) => peer.update_rx(),
            (APPLICATION_DATA, payload) => answer = payload,
            _ => {}
        }
    }
    assert_eq!(peer.receive_data(), (Vec::new(), true));
    [live, child.found_at_next_stop(&needles)]
}

#[test]
fn no_copy_of_a_secret_outlives_a_stream_from_parts() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return take_over(&address);
    }
    let test = "no_copy_of_a_secret_outlives_a_stream_from_parts";
    for suite in Suite::ALL {
        assert_nothing_is_left(suite, left_by_parts(suite, test, &[]));
    }
}

fn assert_nothing_is_left(suite: Suite, [live, left]: [Vec<String>; 2]) {
    assert!(
        !live.is_empty(),
        "{suite:?}: nothing is found of what is there"
    );
    let exporter = [EXPORTER, MASTER];
    let is_exporter = |place: &String| exporter.iter().any(|name| place.starts_with(name));
    assert!(live.iter().any(is_exporter), "{suite:?}: no exporter");
    assert!(left.is_empty(), "{suite:?}:\n{}", left.join("\n"));
}

/// Keys are copied to a kernel that takes them over, and read back from it.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn no_copy_of_a_secret_outlives_a_stream_that_the_kernel_took_over() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return take_over(&address);
    }
    let test = "no_copy_of_a_secret_outlives_a_stream_that_the_kernel_took_over";
    for suite in Suite::EACH_VERSION {
        let environment = [(KERNEL, OsStr::new("1"))];
        assert_nothing_is_left(suite, left_by_parts(suite, test, &environment));
    }
}

/// Makes the handshake, uses the connection, and closes it.
fn accept(address: &str) {
    let mut control = TcpStream::connect(address).unwrap();
    let [certificate, key] = IDENTITY.map(|name| std::env::var(name).unwrap());
    let chain = CertificateDer::pem_file_iter(certificate).unwrap();
    let chain = chain.map(|certificate| certificate.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    accept_and_close(config, address, &mut control);
    stop(&mut control);
}

#[inline(never)]
fn accept_and_close(config: ServerConfig, address: &str, control: &mut TcpStream) {
    let acceptor = blocking::TlsAcceptor::from(Arc::new(config));
    let stream = acceptor
        .accept(TcpStream::connect(address).unwrap())
        .unwrap();
    use_and_close(stream, control);
}

/// What rustls tells of a connection.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Log {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((label.to_owned(), secret.to_vec()));
    }
}

/// As [`left_by_parts`], of a connection whose handshake the child made.
fn left_by_handshake(suite: Suite) -> [Vec<String>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let certificates = Certificates::new(KeyType::Ecdsa);
    let files = [
        certificates.server_cert_file(),
        certificates.server_key_file(),
    ];
    let environment = [0, 1].map(|i| (IDENTITY[i], files[i].as_os_str()));
    let test = "one_copy_of_a_secret_outlives_a_stream_from_a_handshake_and_it_is_rustls";
    let mut child = Kept::start(&listener, test, &environment);
    let (io, _) = listener.accept().unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    let log = Arc::new(Log::default());
    let mut config = certificates.client_config(suite);
    config.key_log = Arc::clone(&log) as _;
    let name = SERVER_NAME.try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut client = rustls::StreamOwned::new(connection, io);
    client.write_all(b"ping").unwrap();
    let algorithm = match suite {
        Suite::Tls13Aes128 => Algorithm::Aes128Gcm,
        Suite::Tls13Aes256 => Algorithm::Aes256Gcm,
        _ => Algorithm::ChaCha20Poly1305,
    };
    let mut needles = Needles::new();
    let logged = log.0.lock().unwrap().clone();
    for (label, bytes) in logged {
        if label == EXPORTER {
            needles.push((label, bytes));
        } else if label.ends_with("TRAFFIC_SECRET_0") {
            let mut secret = TrafficSecret::new(algorithm, &bytes).unwrap();
            needles_of_secret(&mut needles, &label, &mut secret);
        }
    }
    assert!(!needles.is_empty());
    let live = child.found_at_next_stop(&needles);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"ping");
    [live, child.found_at_next_stop(&needles)]
}

/// rustls frees its last state without a word over it: one copy of each secret stays there, on the
/// heap. Of the keys nothing does, nor of what derives from the secrets later.
#[test]
fn one_copy_of_a_secret_outlives_a_stream_from_a_handshake_and_it_is_rustls() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return accept(&address);
    }
    for suite in Suite::ALL.into_iter().filter(|suite| suite.is_tls13()) {
        let [live, left] = left_by_handshake(suite);
        assert!(
            !live.is_empty(),
            "{suite:?}: nothing is found of what is there"
        );
        let known = [
            "CLIENT_TRAFFIC_SECRET_0 0 secret",
            "SERVER_TRAFFIC_SECRET_0 0 secret",
            EXPORTER,
        ];
        let mut others = left.len();
        for known in known {
            let copies = left.iter().filter(|place| place.starts_with(known));
            let copies = copies.count();
            assert!(copies <= 1, "{suite:?}:\n{}", left.join("\n"));
            others -= copies;
        }
        assert_eq!(others, 0, "{suite:?}:\n{}", left.join("\n"));
    }
}
