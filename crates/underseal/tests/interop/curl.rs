//! Our server, `curl`, over the smallest HTTP that it is content with.

use std::io;
use std::path::PathBuf;

use underseal_testkit::{Finished, Peer, peers};

use crate::api::{Api, Connection, Facts, serve};
use crate::case::{Case, cases, payload};

/// One request on a connection.
struct Request {
    facts: Facts,
    body: Vec<u8>,
}

/// Answers one request with `answer` and closes the connection, with close_notify or without.
fn respond(connection: &mut dyn Connection, answer: &[u8], close_notify: bool) -> Request {
    let body = read_request(connection).expect("curl sends a request");
    // One byte more than comes, if the answer is to be cut off.
    let length = answer.len() + usize::from(!close_notify);
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    connection.write_all(head.as_bytes()).expect("curl reads");
    connection.write_all(answer).expect("curl reads");
    connection.flush().expect("curl reads");
    if close_notify {
        connection.close().expect("curl reads");
    }
    Request {
        facts: connection.facts(),
        body,
    }
}

/// Reads a request's head and as much of a body as it announces.
fn read_request(connection: &mut dyn Connection) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(body)
}

/// The file with the payload, for curl to send.
fn payload_file(case: &Case) -> PathBuf {
    let file = case.certificates.directory().join("payload");
    std::fs::write(&file, payload()).expect("a file is written");
    file
}

cases!(uploads_and_downloads_a_mebibyte: all);
fn uploads_and_downloads_a_mebibyte(api: Api, case: &Case) {
    let answer = payload();
    let server = serve(api, case.server(), 1, move |connection| {
        respond(connection, &answer, true)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    command.args([
        "--verbose",
        "--http1.1",
        "--header",
        "Expect:",
        "--data-binary",
    ]);
    command.arg(format!("@{}", payload_file(case).display()));
    command.arg(peers::url(server.address, "/"));
    let finished = Peer::spawn(&mut command).finish().successful();
    assert!(finished.stdout == payload(), "the download differs");
    let agreed = format!(" / {}", case.openssl_suite());
    assert!(finished.stderr.contains(&agreed), "{}", finished.stderr);
    let request = server.finish_one();
    case.check(&request.facts);
    assert!(request.body == payload(), "the upload differs");
}

cases!(agrees_on_protocol_and_name: all);
fn agrees_on_protocol_and_name(api: Api, case: &Case) {
    let mut config = case.server();
    config.alpn_protocols = vec![b"h3".to_vec(), b"http/1.1".to_vec()];
    let server = serve(api, config, 1, |connection| {
        respond(connection, b"hello", true)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    command.args(["--http1.1", &peers::url(server.address, "/")]);
    assert_eq!(
        Peer::spawn(&mut command).finish().successful().text(),
        "hello"
    );
    let facts = server.finish_one().facts;
    assert_eq!(facts.alpn.as_deref(), Some("http/1.1"));
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
}

cases!(presents_its_certificate: all);
fn presents_its_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, |connection| {
        respond(connection, b"hello", true)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    command.args(["--cert", "client.pem", "--key", "client.key"]);
    command.arg(peers::url(server.address, "/"));
    assert_eq!(
        Peer::spawn(&mut command).finish().successful().text(),
        "hello"
    );
    assert_eq!(
        server.finish_one().facts.peer,
        Some(case.client_certificate())
    );
}

cases!(is_refused_without_certificate: all);
fn is_refused_without_certificate(api: Api, case: &Case) {
    let config = case.certificates.mutual_server_config(case.suite);
    let server = serve(api, config, 1, |connection| {
        respond(connection, b"hello", true)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    let Finished { status, stderr, .. } =
        Peer::spawn(command.arg(peers::url(server.address, "/"))).finish();
    assert!(!status.success(), "{stderr}");
    assert!(stderr.contains("alert certificate required"), "{stderr}");
    assert!(
        server.finish().remove(0).is_err(),
        "a client without certificate is refused"
    );
}

cases!(resumes: all);
fn resumes(api: Api, case: &Case) {
    let server = serve(api, case.server(), 2, |connection| {
        respond(connection, b"hello", true)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    // One after the other, so that the second has the ticket of the first.
    command.args([
        peers::url(server.address, "/1"),
        peers::url(server.address, "/2"),
    ]);
    assert_eq!(
        Peer::spawn(&mut command).finish().successful().text(),
        "hellohello"
    );
    let requests = server.finish().into_iter();
    let resumed = requests.map(|request| request.expect("handshake").facts.resumed);
    assert_eq!(resumed.collect::<Vec<_>>(), [false, true]);
}

cases!(sees_that_it_is_cut_off: all);
fn sees_that_it_is_cut_off(api: Api, case: &Case) {
    let server = serve(api, case.server(), 1, |connection| {
        respond(connection, b"hell", false)
    });
    let mut command = peers::curl(&case.certificates, server.address);
    let finished = Peer::spawn(command.arg(peers::url(server.address, "/"))).finish();
    server.finish_one();
    assert_eq!(finished.text(), "hell");
    // CURLE_PARTIAL_FILE: this version looks at the length, not at close_notify.
    assert_eq!(finished.status.code(), Some(18), "{}", finished.stderr);
}
