//! nginx and HAProxy, as reverse proxies that tell the backend how they read a request.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use underseal_testkit::{free_port, require_program};

use super::backend::{self, Record};

/// A running proxy before a backend of its own; it ends when it is dropped.
pub(super) struct Proxy {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) record: Record,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Proxy {
    pub(super) fn nginx() -> Self {
        Self::start("nginx", nginx, |directory, file| {
            let mut command = Command::new(require_program("nginx"));
            command.arg("-e").arg(directory.join("errors"));
            command.arg("-p").arg(directory).arg("-c").arg(file);
            command
        })
    }

    pub(super) fn haproxy() -> Self {
        Self::start("HAProxy", haproxy, |_, file| {
            let mut command = Command::new(require_program("haproxy"));
            command.arg("-db").arg("-q").arg("-f").arg(file);
            command
        })
    }

    fn start(
        name: &'static str,
        configuration: fn(&Path, SocketAddr, SocketAddr) -> String,
        command: fn(&Path, &Path) -> Command,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (backend, record) = backend::start();
        let file = directory.path().join("configuration");
        // Whoever takes the port that was free a moment ago has it: then with another.
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            let text = configuration(directory.path(), address, backend);
            fs::write(&file, text).expect("a file in a directory of our own");
            let log = fs::File::create(directory.path().join("log")).expect("the same");
            let mut command = command(directory.path(), &file);
            let command = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let mut child = command.spawn().expect("the program starts");
            if listens(&mut child, address) {
                return Self {
                    name,
                    address,
                    record,
                    child,
                    _directory: directory,
                };
            }
        }
        let said = ["log", "errors"].map(|log| fs::read_to_string(directory.path().join(log)));
        panic!("{name} does not start: {said:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}

/// Whether it listens in time; it has ended if not.
fn listens(child: &mut Child, address: SocketAddr) -> bool {
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        if child.try_wait().expect("our own child").is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    false
}

/// One process, so that killing it leaves nothing behind. What it normalised is decoded, and could
/// break the line of a field where it holds controls.
fn nginx(directory: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/errors;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    map $uri $seen_path {{ ~[\\x00-\\x1f\\x7f] (controls); default $uri; }}
    upstream backend {{ server {backend}; keepalive 4; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header Seen-Path $seen_path;
            proxy_set_header Seen-Host $host;
        }}
    }}
}}
"
    )
}

/// It normalises paths as far as it can and is told to.
fn haproxy(_: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global
    expose-experimental-directives
    nbthread 1
    maxconn 200
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend clients
    bind {address}
    http-request normalize-uri percent-decode-unreserved
    http-request normalize-uri percent-to-uppercase
    http-request normalize-uri path-merge-slashes
    http-request normalize-uri path-strip-dot
    http-request normalize-uri path-strip-dotdot full
    http-request set-header Seen-Uri %[path]
    http-request set-header Seen-Host %[req.hdr(host)]
    default_backend backend
backend backend
    server backend {backend}
"
    )
}
