//! nginx under `underseal run`, and our own client.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use underseal::blocking::{TlsConnector, TlsStream};
use underseal::{ClientConnection, KeyUpdateRequest};
use underseal_testkit::{Certificates, KeyType, PATIENCE, Peer, SERVER_NAME, Suite, peers};

use crate::{content, underseal_run};

type Stream = TlsStream<TcpStream, ClientConnection>;

/// nginx that serves the directory of the certificates.
fn nginx(certificates: &Certificates, runtime: &Path) -> (Peer, SocketAddr) {
    peers::spawn_on_free_port(|port| {
        let file = runtime.join("nginx.conf");
        let configuration = configuration(certificates, runtime, port);
        fs::write(&file, configuration).expect("a configuration");
        let mut command = underseal_run(runtime);
        command.args(["--always", "--", "nginx", "-e"]);
        command.arg(runtime.join("errors")).arg("-c").arg(file);
        command
    })
}

fn configuration(certificates: &Certificates, runtime: &Path, port: u16) -> String {
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;",
        false => "",
    };
    let temporary = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
        .map(|of| format!("{of}_temp_path {}/{of};", runtime.display()))
        .concat();
    format!(
        "daemon off; master_process off; {user}
        pid {runtime}/pid;
        error_log {runtime}/errors debug;
        events {{ }}
        http {{
            access_log off;
            sendfile on;
            {temporary}
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {certificate};
                ssl_certificate_key {key};
                ssl_protocols TLSv1.2 TLSv1.3;
                root {root};
                client_max_body_size 0;
                dav_methods PUT;
            }}
        }}",
        runtime = runtime.display(),
        certificate = certificates.server_cert_file().display(),
        key = certificates.server_key_file().display(),
        root = certificates.directory().display(),
    )
}

fn connected(certificates: &Certificates, address: SocketAddr, suite: Suite) -> BufReader<Stream> {
    let connector = TlsConnector::from(Arc::new(certificates.client_config(suite)));
    let tcp = TcpStream::connect(address).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = ServerName::try_from(SERVER_NAME).expect("a name");
    BufReader::new(connector.connect(name, tcp).expect("a handshake"))
}

/// Fetches the file on a connection that is kept.
fn get(stream: &mut BufReader<Stream>) -> Vec<u8> {
    let request = b"GET /content HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream
        .get_mut()
        .write_all(request)
        .expect("a server that reads");
    let mut len = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a head");
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => len = value.parse().ok(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; len.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    body
}

#[test]
fn our_own_client_gets_100_mib_bit_for_bit() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    fs::write(certificates.directory().join("content"), content()).expect("a file");
    let (mut nginx, address) = nginx(&certificates, runtime.path());
    for suite in Suite::EACH_VERSION {
        let got = get(&mut connected(&certificates, address, suite));
        assert!(got == content(), "{suite:?}: they differ");
    }
    nginx.kill();
    let log = fs::read_to_string(runtime.path().join("errors")).expect("a log");
    assert!(log.contains("SSL_sendfile"), "nginx has sealed by itself");
}

/// Sends the file, under new keys every ten mebibytes where there can be any. Returns the status of the answer.
fn put(stream: &mut BufReader<Stream>, content: &[u8], updates_keys: bool) -> String {
    let head = format!(
        "PUT /uploaded HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    let sender = stream.get_mut();
    sender
        .write_all(head.as_bytes())
        .expect("a server that reads");
    for piece in content.chunks(10 << 20) {
        sender.write_all(piece).expect("a server that reads");
        if updates_keys {
            let updated = sender.key_update(KeyUpdateRequest::NotRequested);
            updated.expect("the next keys");
        }
    }
    let mut status = String::new();
    stream.read_line(&mut status).expect("an answer");
    status
}

#[test]
fn nginx_takes_100_mib_of_our_own_client_bit_for_bit_also_under_new_keys() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    let (mut nginx, address) = nginx(&certificates, runtime.path());
    let uploaded = certificates.directory().join("uploaded");
    for (suite, updates_keys) in [
        (Suite::Tls12Aes128, false),
        (Suite::Tls13Aes128, false),
        (Suite::Tls13Aes128, true),
    ] {
        let mut stream = connected(&certificates, address, suite);
        let status = put(&mut stream, content(), updates_keys);
        assert!(status.starts_with("HTTP/1.1 20"), "{suite:?}: {status}");
        let taken = fs::read(&uploaded).expect("a file");
        assert!(taken == content(), "{suite:?}: they differ");
        fs::remove_file(&uploaded).expect("a file");
    }
    nginx.kill();
}

#[test]
fn a_client_that_updates_its_keys_is_still_answered() {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let runtime = tempfile::tempdir().expect("a directory");
    let content = &content()[..3_000_001];
    fs::write(certificates.directory().join("content"), content).expect("a file");
    let (mut nginx, address) = nginx(&certificates, runtime.path());
    let mut stream = connected(&certificates, address, Suite::Tls13Aes128);
    for round in 0..4 {
        let updated = stream.get_mut().key_update(KeyUpdateRequest::NotRequested);
        updated.expect("the next keys");
        assert!(get(&mut stream) == content, "round {round}: they differ");
    }
    nginx.kill();
}
