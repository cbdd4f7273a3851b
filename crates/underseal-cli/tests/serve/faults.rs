//! Bad input and faults: each ends in the right status and in a line that says why, and leaves
//! other connections alone.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;

use crate::client::{reset, tcp};
use crate::harness::Server;

const MIB: u64 = 1024 * 1024;

#[test]
fn plain_http_is_answered_in_words() {
    let server = Server::start();
    let mut plain = tcp(server.address);
    plain
        .write_all(b"GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n")
        .expect("send");
    let mut answer = String::new();
    plain
        .read_to_string(&mut answer)
        .expect("an answer and the end");
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(answer.contains("This is an HTTPS port"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let line = server.logged(|line| line["status"] == 400);
    assert_eq!(
        (&line["method"], &line["path"], &line["bytes_out"]),
        (&"GET".into(), &"/x?y".into(), &body.len().into())
    );
    assert_eq!(line["error"], "plain HTTP on the HTTPS port");
    assert!(line["tls"].is_null());
    server.peer.wait_for("plain HTTP on the HTTPS port");
}

#[test]
fn a_client_that_has_gone_is_not_said_to_be_answered() {
    let server = Server::start();
    server.write("f", "content");
    let mut plain = tcp(server.address);
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.response().status, 200);
    server.while_stopped(|| {
        let addresses = [&plain, client.tcp()].map(|tcp| tcp.local_addr().expect("an address"));
        plain
            .write_all(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
            .expect("send");
        reset(plain);
        client.get("/f?gone");
        reset(client.tcp().try_clone().expect("the same"));
        drop(client);
        addresses.into()
    });
    for path in ["/plain", "/f?gone"] {
        let line = server.logged(|line| line["path"] == path);
        assert!(line["status"].is_null(), "{line}");
        assert_eq!(line["bytes_out"], 0);
        assert!(!line["error"].is_null(), "{line}");
    }
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let server = Server::start();
    server.write("f", "content");
    let mut other = server.client();
    // Not a record type; a ClientHello of garbage; an oversized record.
    for garbage in [
        &b"\x00\xff\xfe\xfd\xfc\xfb"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff",
        b"\x16\x03\x03\xff\xff",
    ] {
        let mut bad = tcp(server.address);
        bad.write_all(garbage).expect("send");
        let _ = bad.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // A reset is as good an end as an alert.
        let _ = bad.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "an alert: {answer:?}");
    }
    server.peer.wait_for("no connection with ");
    other.get("/f");
    assert_eq!(other.response().text(), "content");
}

#[test]
fn wrong_records_get_their_alert_and_a_line() {
    let server = Server::start();
    server.write("f", "content");
    let mut other = server.client();
    let forged = [&b"\x17\x03\x03\x00\x20"[..], &[0; 32]].concat();
    let oversized = [&b"\x17\x03\x03\x50\x00"[..], &[0; 32]].concat();
    for (record, alert, why) in [
        (forged, "BadRecordMac", "record does not authenticate"),
        (
            oversized,
            "RecordOverflow",
            "record of 20480 bytes is too long",
        ),
        (
            b"\x17\x02\x02\x00\x20".to_vec(),
            "ProtocolVersion",
            "record version 0x0202",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x28".to_vec(),
            "UnexpectedMessage",
            "unexpected record",
        ),
    ] {
        let mut client = server.client();
        client.get("/f");
        assert_eq!(client.response().text(), "content");
        client.tcp().write_all(&record).expect("send");
        let (_, ended) = client.rest();
        let error = ended.expect_err("an alert").to_string();
        assert!(error.contains(alert), "{error}");
        server.peer.wait_for(why);
    }
    other.get("/f");
    assert_eq!(other.response().text(), "content");
}

#[test]
fn paths_out_of_the_root_are_refused() {
    let server = Server::start();
    server.write("inside/f", "content");
    let outside = tempfile::NamedTempFile::new().expect("a file elsewhere");
    symlink(outside.path(), server.path("absolute")).expect("link");
    symlink("../../../../../../etc/passwd", server.path("relative")).expect("link");
    symlink("inside/f", server.path("harmless")).expect("link");
    let mut client = server.client();
    for (path, status) in [
        ("/../etc/passwd", 403),
        ("/inside/../../etc/passwd", 403),
        ("/%2e%2e/etc/passwd", 403),
        ("/inside/%2E%2E/%2e%2e/etc/passwd", 403),
        ("/..%2fetc/passwd", 400),
        ("/..%5cetc%5cpasswd", 400),
        ("/..\\etc\\passwd", 400),
        ("/inside/f%00.html", 400),
        ("/absolute", 403),
        ("/relative", 403),
        ("/harmless", 200),
        ("/etc/passwd", 404),
    ] {
        client.get(path);
        assert_eq!(client.response().status, status, "{path}");
    }
    let line = server.logged(|line| line["path"] == "/%2e%2e/etc/passwd");
    assert_eq!(line["error"], "path with a parent segment");
}

#[test]
fn header_floods_are_refused() {
    let server = Server::start();
    let many = "A: b\r\n".repeat(200);
    let large = format!("A: {}\r\n", "b".repeat(40_000));
    let unending = "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(2_000);
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{large}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{unending}"), 431),
        (
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9_000)),
            414,
        ),
        (format!("GET /{}", "a".repeat(200_000)), 414),
        (
            format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(9_000)),
            501,
        ),
        ("A".repeat(200_000), 501),
    ] {
        let mut client = server.client();
        // The server may have stopped reading before all of it is sent.
        let _ = client.try_send(&head);
        assert_eq!(client.response().status, status, "{}", &head[..20]);
    }
    let line = server.logged(|line| line["status"] == 414);
    assert_eq!(line["method"], "GET");
    assert!(line["error"].is_string(), "{line}");
}

#[test]
fn a_refused_client_is_heard_out() {
    let server = Server::start();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n");
    assert_eq!(client.response().status, 405);
    client.expect_close();
    // A socket that was closed at once answers the first of these with a reset, and the reset
    // may destroy an answer that the client has not read yet.
    for _ in 0..20 {
        client
            .tcp()
            .write_all(&[0; 1000])
            .expect("the server still reads");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_file_that_shrinks_is_cut_and_not_completed() {
    let server = Server::start();
    server.write("other", "content");
    let file = server.write_sparse("f", 256 * MIB);
    let mut client = server.client();
    let mut other = server.client();
    client.get("/f");
    assert_eq!(client.head().status, 200);
    // The server cannot be further than what the sockets buffer.
    file.set_len(128 * MIB).expect("truncate");
    let (body, ended) = client.rest();
    assert!(body.len() as u64 <= 128 * MIB, "{} bytes", body.len());
    let error = ended.expect_err("no close_notify");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    let line = server.logged(|line| line["path"] == "/f");
    assert_eq!(line["error"], "cut short: file shrank");
    server.peer.wait_for("a file shrank while it was sent");
    other.get("/other");
    assert_eq!(other.response().text(), "content");
}

#[test]
fn a_file_that_vanishes_is_sent_to_its_end() {
    let server = Server::start();
    server.write_sparse("f", 64 * MIB);
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.head().status, 200);
    std::fs::remove_file(server.path("f")).expect("remove");
    let mut body = vec![1; 64 << 20];
    client.read_body(&mut body);
    assert!(body.iter().all(|&byte| byte == 0));
    client.get("/f");
    assert_eq!(client.response().status, 404);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_logged() {
    let server = Server::start();
    server.write("other", "content");
    server.write_sparse("f", 256 * MIB);
    let mut other = server.client();
    let mut client = server.client();
    client.get("/f");
    assert_eq!(client.head().status, 200);
    drop(client);
    let line = server.logged(|line| line["path"] == "/f");
    let error = line["error"].as_str().expect("an error");
    assert!(error.starts_with("cut short: "), "{error}");
    assert!(line["bytes_out"].as_u64().expect("bytes") < 256 * MIB);
    other.get("/other");
    assert_eq!(other.response().text(), "content");
}

#[test]
fn unreadable_files_are_forbidden() {
    let server = Server::start();
    // Root may read anything, so a special file stands for what cannot be served.
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, server.path("pipe"), mode).expect("mkfifo");
    assert_eq!(server.status("GET /pipe HTTP/1.1\r\nHost: h\r\n\r\n"), 403);
}

/// What comes behind the last request that is answered must not reset the connection.
#[test]
fn a_request_behind_the_last_one_does_not_cost_the_answer() {
    let server = Server::start();
    server.write("large", vec![b'x'; 4 * MIB as usize]);
    let mut client = server.client();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /next");
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.send(" HTTP/1.1\r\nHost: h\r\n\r\n");
    let (rest, end) = client.rest();
    end.expect("close_notify");
    assert!(rest.len() > 4 * MIB as usize, "{} bytes", rest.len());
}
