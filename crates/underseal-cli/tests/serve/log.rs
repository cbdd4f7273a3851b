//! The access log.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use underseal_testkit::{Certificates, KeyType, PATIENCE, Peer, Suite, free_port, require_program};

use crate::client::{Client, tcp};
use crate::harness::Server;
use crate::running::{in_clean_environment, log_lines};

#[test]
fn a_line_says_who_asked_for_what_and_how_it_went() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    client.send("GET /f?\"x\" HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"b\\c\tд\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let line = server.logged(|line| line["status"] == 200);
    assert_eq!(line["method"], "GET");
    assert_eq!(line["path"], "/f?\"x\"");
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&0.into(), &7.into())
    );
    assert_eq!(line["host"], "h");
    assert_eq!(line["user_agent"], "a\"b\\c\tд");
    assert_eq!(line["tls"], "TLSv1_3");
    assert_eq!(line["suite"], "TLS13_AES_128_GCM_SHA256");
    assert_eq!(line["sni"], "localhost");
    assert_eq!(line["protocol"], "http/1.1");
    for gone in ["ts", "bytes", "alpn"] {
        assert!(line.get(gone).is_none(), "{line}");
    }
    assert!(
        line["error"].is_null() && line["duration_us"].is_u64(),
        "{line}"
    );
    let remote = client.tcp().local_addr().expect("an address").to_string();
    assert_eq!(line["remote"], remote);
    let time = line["time"].as_str().expect("a time");
    assert_eq!((time.len(), &time[10..11], &time[26..]), (27, "T", "Z"));
}

#[test]
fn what_was_refused_is_logged_as_it_seems_to_stand_there() {
    let server = Server::with(&["--header-timeout", "0.5"]);
    let long = format!("/long{}", "x".repeat(9000));
    for (head, status, path, protocol) in [
        (
            "GET /lengths HTTP/1.0\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            "/lengths",
            "http/1.0",
        ),
        (
            "GET /hosts HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
            400,
            "/hosts",
            "http/1.1",
        ),
        (
            &format!("GET {long} HTTP/1.1\r\nHost: h\r\n\r\n"),
            414,
            &long[..2048],
            "http/1.1",
        ),
        (
            "GET /late HTTP/1.1\r\nHost: h\r\nX: ",
            408,
            "/late",
            "http/1.1",
        ),
    ] {
        assert_eq!(server.status(head), status);
        let line = server.logged(|line| line["path"] == path);
        assert_eq!(
            (&line["method"], &line["host"], &line["protocol"]),
            (&"GET".into(), &"h".into(), &protocol.into())
        );
    }
}

#[test]
fn the_log_may_go_to_a_file_or_nowhere() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let server = Server::with(&["--access-log", log.path().to_str().expect("UTF-8")]);
    assert_eq!(server.status("GET /none HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert!(server.stop().successful().stdout.is_empty());
    let lines = log_lines(&std::fs::read(log.path()).expect("read"));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], 404);

    let server = Server::with(&["--access-log", "off"]);
    assert_eq!(server.status("GET /none HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert!(server.stop().successful().stdout.is_empty());
}

#[test]
fn sighup_opens_a_rotated_log_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (log, rotated) = (dir.path().join("log"), dir.path().join("log.1"));
    let server = Server::with(&["--access-log", log.to_str().expect("UTF-8")]);
    assert_eq!(
        server.status("GET /before HTTP/1.1\r\nHost: h\r\n\r\n"),
        404
    );
    std::fs::rename(&log, &rotated).expect("rotate");
    server.signal(Signal::HUP);
    server.peer.wait_for("certificate loaded again");
    let deadline = Instant::now() + PATIENCE;
    while !log.exists() {
        assert!(Instant::now() < deadline, "not opened again");
    }
    assert_eq!(server.status("GET /after HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    let _ = server.stop().successful();
    let after = std::fs::read_to_string(&log).expect("read");
    assert!(after.contains("/after"), "{after}");
}

#[test]
fn a_log_whose_reader_is_gone_does_not_end_the_server() {
    let mut command = Command::new(require_program("bash"));
    command.args(["-c", "exec \"$0\" \"$@\" > >(exec true)"]);
    command.arg(env!("CARGO_BIN_EXE_underseal"));
    let server = Server::from_command(in_clean_environment(command), &[]);
    let mut client = server.client();
    for _ in 0..2 {
        client.get("/none");
        assert_eq!(client.response().status, 404);
        server.peer.wait_for("access log lost");
    }
    let stderr = server.stop().successful().stderr;
    assert_eq!(stderr.matches("access log lost").count(), 1, "{stderr}");
}

#[test]
fn messages_whose_reader_is_gone_do_not_end_the_server() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let mut command = Command::new(require_program("bash"));
    command.args(["-c", "exec \"$0\" \"$@\" 2> >(exec true)"]);
    command.arg(env!("CARGO_BIN_EXE_underseal"));
    let mut command = in_clean_environment(command);
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    command.args([
        "serve",
        ".",
        "--log",
        "debug",
        "--listen",
        &address.to_string(),
    ]);
    command.arg("--cert").arg(certificates.server_cert_file());
    command.arg("--key").arg(certificates.server_key_file());
    let _peer = Peer::spawn(&mut command);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "not listening");
    }
    for _ in 0..2 {
        // A handshake that fails is a message; one that does not still works after it.
        let _ = tcp(address).write_all(b"\x16\x03\x01\xff\xff");
        let config = certificates.client_config(Suite::Tls13Aes128);
        let mut client = Client::connect(address, config);
        client.get("/none");
        assert_eq!(client.response().status, 404);
    }
}
