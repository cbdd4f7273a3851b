//! Several certificates, of which the client's server name chooses one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use underseal_testkit::require_program;

use crate::backend::Backend;
use crate::harness::Start;

/// Writes a certificate for `name`, with its key and perhaps a SPIFFE ID; gives its options.
fn pair(directory: &Path, name: &str, id: Option<&str>) -> [String; 4] {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    if let Some(id) = id {
        let id = rcgen::SanType::URI(id.try_into().expect("ASCII"));
        params.subject_alt_names.push(id);
    }
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(rcgen::DnType::CommonName, format!("certificate of {name}"));
    params.distinguished_name = subject;
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    let [cert, file] = ["pem", "key"].map(|end| directory.join(format!("{name}.{end}")));
    fs::write(&cert, made.pem()).expect("write");
    fs::write(&file, key.serialize_pem()).expect("write");
    let [cert, file] = [cert, file].map(|path| path.display().to_string());
    ["--cert".to_owned(), cert, "--key".to_owned(), file]
}

/// What `openssl s_client` says of the certificate that it is shown.
fn shown(address: SocketAddr, name: Option<&str>) -> String {
    let mut command = Command::new(require_program("openssl"));
    command.args(["s_client", "-connect", &address.to_string()]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let ran = command.stdin(Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let subject = text.lines().find(|line| line.starts_with("subject="));
    subject.expect("a certificate").to_owned()
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let more = ["a.test", "b.test"].map(|name| pair(directory.path(), name, None));
    let more = more.concat();
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let proxy = Start::new(Backend::echo().address).with(&more).start();
    for name in ["a.test", "b.test"] {
        let subject = shown(proxy.address, Some(name));
        assert!(
            subject.ends_with(&format!("certificate of {name}")),
            "{subject}"
        );
    }
    for name in [None, Some("localhost"), Some("c.test")] {
        let subject = shown(proxy.address, name);
        assert!(!subject.contains("certificate of"), "{name:?} {subject}");
    }
}

#[test]
fn each_is_loaded_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let more = pair(directory.path(), "a.test", None);
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let proxy = Start::new(Backend::echo().address).with(&more).start();
    assert!(shown(proxy.address, Some("a.test")).contains("certificate of a.test"));
    // The name goes over to another one.
    pair(directory.path(), "b.test", None);
    for end in ["pem", "key"] {
        let [from, to] =
            ["b.test", "a.test"].map(|name| directory.path().join(format!("{name}.{end}")));
        fs::copy(from, to).expect("copy");
    }
    proxy.signal(Signal::HUP);
    proxy.peer.wait_for("certificate loaded again");
    let deadline = std::time::Instant::now() + underseal_testkit::PATIENCE;
    while !shown(proxy.address, Some("b.test")).contains("certificate of b.test") {
        assert!(std::time::Instant::now() < deadline, "the old one stays");
    }
    assert!(!shown(proxy.address, Some("a.test")).contains("certificate of"));
}

#[test]
fn policies_know_who_we_are_by_the_certificate_that_was_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let more = pair(directory.path(), "a.test", Some("spiffe://corp/a"));
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let rule =
        "{ rules: [{ when: [{ key: destination.principal, values: ['spiffe://corp/a'] }] }] }";
    let proxy = Start::new(Backend::echo().address)
        .with(&more)
        .policy(rule)
        .start();
    let ask = |name: &str| {
        let script = "
import http.client, socket, ssl, sys
context = ssl._create_unverified_context()
tcp = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
tls = context.wrap_socket(tcp, server_hostname=sys.argv[2])
tls.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')
print(tls.recv(12).decode())
";
        let mut command = Command::new(require_program("python3"));
        let port = proxy.address.port().to_string();
        let ran = command.args(["-c", script, &port, name]).output();
        String::from_utf8(ran.expect("it runs").stdout).expect("ASCII")
    };
    assert_eq!(ask("a.test").trim(), "HTTP/1.1 200");
    assert_eq!(ask("localhost").trim(), "HTTP/1.1 403");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let start = Start::new("127.0.0.1:9").with(&["--cert", "another.pem"]);
    let (said, code) = start.refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("2 certificates and 1 keys"), "{said}");
}
