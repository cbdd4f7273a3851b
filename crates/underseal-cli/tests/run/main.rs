//! `underseal run`: programs that others wrote become servers whose records are sealed below them.

mod library;
mod own_client;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use underseal_testkit::{Certificates, Finished, KeyType, Peer, peers, require_program};

/// Cargo leaves the library beside the tests.
fn built_library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let library = test.with_file_name("libunderseal_preload.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

/// `underseal run` with these arguments, and a place for what it writes.
fn underseal_run(runtime: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
    command.arg("run");
    command.env("UNDERSEAL_PRELOAD_LIBRARY", built_library());
    command.env("UNDERSEAL_RUNTIME_DIR", runtime);
    command.env_remove("OPENSSL_CONF");
    command
}

fn finished(arguments: &[&str]) -> Finished {
    let runtime = tempfile::tempdir().expect("a directory");
    Peer::spawn(underseal_run(runtime.path()).args(arguments)).finish()
}

fn is_refused(arguments: &[&str], reason: &str) {
    let finished = finished(arguments);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    assert!(finished.stderr.contains(reason), "{}", finished.text());
    assert!(finished.stderr.contains("\nhint: "), "{}", finished.text());
}

#[test]
fn a_program_that_was_not_tested_is_run_if_that_is_wanted() {
    is_refused(&["--", "sh", "-c", "exit 3"], "not tested with `");
    let finished = finished(&["--any", "--", "sh", "-c", "echo $LD_PRELOAD; exit 3"]);
    assert_eq!(finished.status.code(), Some(3), "{}", finished.text());
    assert!(finished.stderr.starts_with("note: "), "{}", finished.text());
    let expected = format!("{}\n", built_library().display());
    assert_eq!(String::from_utf8_lossy(&finished.stdout), expected);
}

#[test]
fn what_no_library_can_be_put_before_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("nginx");
    fs::copy(require_program("sh"), &program).expect("a copy");
    let mode = |mode| fs::set_permissions(&program, fs::Permissions::from_mode(mode));
    mode(0o4755).expect("a mode");
    let name = program.display().to_string();
    is_refused(&["--", &name], "runs as another user or group");
    mode(0o755).expect("a mode");
    fs::write(&program, "no program").expect("a file");
    is_refused(&["--", &name], "is no program of 64 bits");
    is_refused(&["--", "no-such-program-here"], "there is no program");
}

#[test]
fn a_file_system_that_is_full_is_said_to_be() {
    let runtime = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sh");
    let full = r#"ln -s /dev/full "$0/openssl-ktls.cnf.$$"; exec "$@""#;
    command.args(["-c", full]).arg(runtime.path());
    let mut run = underseal_run(runtime.path());
    run.args(["--any", "--", "true"]);
    command.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let finished = Peer::spawn(&mut command).finish();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.text());
    let reason = "cannot write an OpenSSL configuration: No space left on device";
    assert!(finished.stderr.contains(reason), "{}", finished.text());
    let left = fs::read_dir(runtime.path()).expect("a directory").count();
    assert_eq!(left, 0, "what could not be written is still there");
}

/// 100 MiB and a byte.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let period: Vec<u8> = (0..1 << 20).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut content = period.repeat(100);
        // Each mebibyte has another number at its start.
        for (number, start) in (0..100).zip((0..).step_by(1 << 20)) {
            content[start] = number;
        }
        content.push(1);
        content
    })
}

/// Takes what it is sent, sends what it reads from the file, and says what the socket says of its keys.
const PYTHON: &str = r#"
import socket, ssl, sys
directory, cert, key = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
listener = socket.create_server(("127.0.0.1", 0))
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
raw, _ = listener.accept()
with context.wrap_socket(raw, server_side=True) as stream:
    head, _, body = stream.recv(65536).partition(b"\r\n\r\n")
    if head.startswith(b"PUT "):
        left = int(head.lower().split(b"content-length: ")[1].split()[0]) - len(body)
        with open(directory + "/uploaded", "wb") as file:
            file.write(body)
            while left > 0:
                piece = stream.recv(65536)
                left -= len(piece)
                file.write(piece)
    data = open(directory + "/content", "rb").read()
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data)
    stream.sendall(head.encode() + data)
    print("keys:", stream.getsockopt(282, 1, 4).hex(), flush=True)
    stream.unwrap()
"#;

#[test]
fn python_takes_an_upload_and_sends_what_the_socket_seals() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    fs::write(certificates.directory().join("content"), content()).expect("a file");
    let mut command = underseal_run(runtime.path());
    command.args(["--always", "--", "python3", "-u", "-c", PYTHON]);
    command.arg(certificates.directory());
    command.arg(certificates.server_cert_file());
    command.arg(certificates.server_key_file());
    let (server, address) = peers::spawn_listening(&mut command, "listening on ");
    let mut command = peers::curl(&certificates, address);
    command.args([
        "--http1.1",
        "--expect100-timeout",
        "0.01",
        "--upload-file",
        "content",
    ]);
    command.arg(peers::url(address, "/"));
    let fetched = Peer::spawn(&mut command).finish().successful().stdout;
    assert!(fetched == content(), "they differ");
    let uploaded = fs::read(certificates.directory().join("uploaded")).expect("a file");
    assert!(uploaded == content(), "they differ");
    assert!(
        server.wait_for("keys: ").starts_with("keys: 0403"),
        "TLS 1.3"
    );
    server.finish().successful();
}

/// What `underseal conns` says of a process.
fn conns(pid: u32, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underseal"));
    command
        .args(["conns", "--pid", &pid.to_string()])
        .args(arguments);
    Peer::spawn(&mut command).finish().successful().text()
}

#[test]
fn a_connection_of_a_program_is_listed_with_its_name_for_as_long_as_it_is_there() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    let (mut server, address) = peers::spawn_on_free_port(|port| {
        let mut command = underseal_run(runtime.path());
        command.args(["--always", "--", "openssl", "s_server", "-tls1_3"]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(certificates.server_cert_file());
        command.arg("-key").arg(certificates.server_key_file());
        command
    });
    let mut client = Peer::spawn(&mut peers::openssl_client(&certificates, address));
    server.wait_for("Using Kernel TLS for sending");
    server.write("twelve bytes");
    client.wait_for("twelve bytes");
    let listed = conns(server.id(), &["--json"]);
    let row: serde_json::Value = serde_json::from_str(listed.trim()).expect("one connection");
    assert_eq!(row["command"], "openssl");
    assert_eq!(row["local"], address.to_string());
    assert_eq!(row["tls"], "TLSv1_3");
    assert_eq!(row["tx_engine"], "user");
    assert!(row["tx_bytes"].as_u64() >= Some(12), "{row}");
    assert_eq!(row["rx_bytes"], serde_json::Value::Null);
    let table = conns(server.id(), &[]);
    assert!(
        table.contains("COMMAND") && table.contains("openssl"),
        "{table}"
    );
    client.kill();
    server.wait_for("CONNECTION CLOSED");
    assert_eq!(conns(server.id(), &["--json"]), "");
    server.kill();
}

#[test]
fn redis_keeps_and_gives_back_what_goes_through_the_socket() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    let value = &content()[..(10 << 20) + 1];
    for version in ["TLSv1.2", "TLSv1.3"] {
        let (mut server, address) = peers::spawn_on_free_port(|port| {
            let mut command = underseal_run(runtime.path());
            command.args(["--always", "--receive", "--", "redis-server"]);
            command.args(["--port", "0", "--tls-port", &port.to_string()]);
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--tls-auth-clients",
                "no",
            ]);
            command.args(["--tls-protocols", version, "--tls-cert-file"]);
            command
                .arg(certificates.server_cert_file())
                .arg("--tls-key-file");
            command
                .arg(certificates.server_key_file())
                .arg("--tls-ca-cert-file");
            command.arg(certificates.ca_file());
            command
        });
        let client = |arguments: &[&str], input: &[u8]| {
            let mut command = Command::new(require_program("redis-cli"));
            command.args(["--tls", "--insecure", "-h", "127.0.0.1", "-p"]);
            command.arg(address.port().to_string()).args(arguments);
            let mut client = Peer::spawn(&mut command);
            client.write(input);
            client.close_stdin();
            client.finish().successful().stdout
        };
        let set = client(&["-x", "set", "key"], value);
        assert_eq!(set, b"OK\n", "{version}");
        let given = client(&["get", "key"], b"");
        let given = given.strip_suffix(b"\n").expect("a line");
        assert!(given == value, "{version}: they differ");
        let hidden = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.expect("a descriptor").file_name();
            name.to_str().and_then(|name| name.parse::<u32>().ok()) >= Some(1024)
        };
        // The inert socket has a number that is hidden as soon as a connection was taken over.
        let descriptors = fs::read_dir(format!("/proc/{}/fd", server.id()));
        let is_sealing = descriptors.expect("a server").any(hidden);
        assert!(is_sealing, "{version}: redis has sealed by itself");
        server.kill();
    }
}

#[test]
fn openssl_s_server_opens_and_seals_by_the_socket() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    let (mut server, address) = peers::spawn_on_free_port(|port| {
        let mut command = underseal_run(runtime.path());
        command.args([
            "--always",
            "--receive",
            "--",
            "openssl",
            "s_server",
            "-tls1_2",
        ]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(certificates.server_cert_file());
        command.arg("-key").arg(certificates.server_key_file());
        command
    });
    let mut client = Peer::spawn(&mut peers::openssl_client(&certificates, address));
    server.wait_for("Using Kernel TLS for sending");
    server.wait_for("Using Kernel TLS for receiving");
    let line = |who: &str, number: usize| format!("{who} {number} {}\n", "x".repeat(number % 97));
    let lines = |who: &str| {
        (0..2000)
            .map(|number| line(who, number))
            .collect::<String>()
    };
    client.write(lines("upwards"));
    server.wait_for(line("upwards", 1999).trim_end());
    server.write(lines("downwards"));
    client.wait_for(line("downwards", 1999).trim_end());
    let received = String::from_utf8_lossy(&server.stdout()).into_owned();
    assert!(received.contains(&lines("upwards")), "they differ");
    let received = String::from_utf8_lossy(&client.stdout()).into_owned();
    assert!(received.contains(&lines("downwards")), "they differ");
    client.kill();
    server.kill();
}

#[test]
fn openssl_s_server_sends_a_file_that_the_socket_seals() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    fs::write(certificates.directory().join("content"), content()).expect("a file");
    for version in ["-tls1_2", "-tls1_3"] {
        let (mut server, address) = peers::spawn_on_free_port(|port| {
            let mut command = underseal_run(runtime.path());
            command.args([
                "--always",
                "--",
                "openssl",
                "s_server",
                "-sendfile",
                "-WWW",
                version,
            ]);
            command.args(["-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(certificates.server_cert_file());
            command.arg("-key").arg(certificates.server_key_file());
            command.current_dir(certificates.directory());
            command
        });
        let mut command = peers::curl(&certificates, address);
        // It answers as HTTP/1.0 does, and ends the connection with the file.
        command.args(["--http1.0", &peers::url(address, "/content")]);
        let fetched = Peer::spawn(&mut command).finish().successful().stdout;
        assert!(fetched == content(), "{version}: they differ");
        server.wait_for("KTLS SENDFILE");
        server.kill();
    }
}
