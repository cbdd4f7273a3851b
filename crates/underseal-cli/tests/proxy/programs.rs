//! Between programs that others wrote.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;
use underseal_testkit::{Peer, peers, require_program};

use crate::harness::{Proxy, Start};

/// nginx that serves a directory.
struct Nginx {
    _peer: Peer,
    address: SocketAddr,
    directory: TempDir,
}

impl Nginx {
    /// With one more line in its server, and another for its listener.
    fn start(listen: &str, server: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().display().to_string();
        let (peer, address) = peers::spawn_on_free_port(|port| {
            let config = format!(
                "user root root; daemon off; master_process off; pid {root}/pid; error_log stderr notice;
                events {{ worker_connections 64; }}
                http {{
                    access_log off; client_max_body_size 64m;
                    client_body_temp_path {root}/b; proxy_temp_path {root}/p;
                    fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
                    server {{ listen 127.0.0.1:{port} {listen}; root {root}; {server} }}
                }}"
            );
            let file = directory.path().join("nginx.conf");
            fs::write(&file, config).expect("write");
            let mut command = Command::new(require_program("nginx"));
            command.arg("-e").arg("stderr").arg("-c").arg(file);
            command
        });
        Self {
            _peer: peer,
            address,
            directory,
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.directory.path().join(name), content).expect("write");
    }
}

#[test]
fn curl_downloads_from_nginx() {
    let nginx = Nginx::start("", "");
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    nginx.write("large", &content);
    nginx.write("small", b"small");
    let proxy = Proxy::start(nginx.address);
    let body = proxy.curl(&[], "/large").successful().stdout;
    assert!(body == content, "{} bytes", body.len());
    let options = ["--http1.1", "-r", "10-19"];
    let part = proxy.curl(&options, "/large").successful().stdout;
    assert_eq!(part, &content[10..20]);
    let url = peers::url(proxy.address, "/small");
    let twice = proxy.curl(&["--http1.1", &url], "/small").successful();
    assert_eq!(twice.text(), "smallsmall");
}

#[test]
fn curl_uploads_with_length_and_in_chunks() {
    let nginx = Nginx::start("", "location /up { dav_methods PUT; }");
    let proxy = Proxy::start(nginx.address);
    let content: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 253) as u8).collect();
    let file = nginx.directory.path().join("source");
    fs::write(&file, &content).expect("write");
    let file = file.display().to_string();
    fs::create_dir(nginx.directory.path().join("up")).expect("a directory");
    for (name, options) in [
        ("length", &["--http1.1", "-T", &file][..]),
        (
            "chunks",
            &["--http1.1", "-T", &file, "-H", "Transfer-Encoding: chunked"],
        ),
        (
            "expect",
            &["--http1.1", "-T", &file, "-H", "Expect: 100-continue"],
        ),
    ] {
        proxy.curl(options, &format!("/up/{name}")).successful();
        let stored = fs::read(nginx.directory.path().join("up").join(name)).expect("a file");
        assert!(stored == content, "{name}: {} bytes", stored.len());
    }
}

#[test]
fn nginx_is_told_the_client_by_the_proxy_protocol() {
    let location = "location / { return 200 $proxy_protocol_addr; }";
    let nginx = Nginx::start("proxy_protocol", location);
    let proxy = Start::new(nginx.address).with(&["--send-proxy"]).start();
    let url = peers::url(proxy.address, "/a");
    let twice = proxy.curl(&["--http1.1", &url], "/b").successful();
    assert_eq!(twice.text(), "127.0.0.1127.0.0.1");
}

#[test]
fn python_asks_a_python_server() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("page"), "from python").expect("write");
    let (_server, address) = peers::spawn_on_free_port(|port| {
        let mut command = Command::new(require_program("python3"));
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1"]);
        command.arg(port.to_string()).current_dir(directory.path());
        command
    });
    // An HTTP/1.0 server, which closes after each response.
    let proxy = Proxy::start(address);
    let script = "
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
connection = http.client.HTTPSConnection('localhost', int(sys.argv[2]), context=context)
for method in ('GET', 'HEAD', 'GET'):
    connection.request(method, '/page')
    response = connection.getresponse()
    print(response.status, response.read().decode())
";
    let mut command = Command::new(require_program("python3"));
    command.args(["-c", script]);
    command.arg(proxy.certificates.ca_file());
    command.arg(proxy.address.port().to_string());
    let said = Peer::spawn(&mut command).finish().successful().text();
    assert_eq!(said, "200 from python\n200 \n200 from python\n");
}

#[test]
fn a_load_balancer_speaks_for_python_before_tls() {
    let proxy = Start::new(crate::backend::Backend::echo().address)
        .policy("{ rules: [{ from: [{ source: { ipBlocks: ['192.0.2.0/24'] } }] }] }")
        .with(&["--accept-proxy"])
        .start();
    let script = "
import socket, ssl, struct, sys
context = ssl.create_default_context(cafile=sys.argv[1])
for address in ('192.0.2.7', '198.51.100.7'):
    tcp = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
    ends = socket.inet_aton(address) + socket.inet_aton('127.0.0.1') + struct.pack('!HH', 4660, 443)
    tcp.sendall(b'\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11' + struct.pack('!H', len(ends)) + ends)
    tls = context.wrap_socket(tcp, server_hostname='localhost')
    tls.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')
    print(b''.join(iter(lambda: tls.recv(4096), b'')).decode())
";
    let mut command = Command::new(require_program("python3"));
    command
        .args(["-c", script])
        .arg(proxy.certificates.ca_file());
    command.arg(proxy.address.port().to_string());
    let said = Peer::spawn(&mut command).finish().successful().text();
    assert!(said.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{said}");
    assert!(said.contains("HTTP/1.1 403 Forbidden\r\n"), "{said}");
    proxy.logged(|line| line["remote"] == "198.51.100.7:4660" && line["verdict"] == "deny");
}

#[test]
fn openssl_with_a_certificate_is_known() {
    let proxy = Start::new(crate::backend::Backend::echo().address)
        .mutual()
        .start();
    let mut command = peers::openssl_client(&proxy.certificates, proxy.address);
    command.args([
        "-quiet",
        "-ign_eof",
        "-cert",
        "client.pem",
        "-key",
        "client.key",
    ]);
    let mut peer = Peer::spawn(&mut command);
    peer.write("GET /s_client HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer.wait_for("GET /s_client HTTP/1.1");
    let line = proxy.logged_path("/s_client");
    assert_eq!(line["principal"], underseal_testkit::CLIENT_ID);
}
