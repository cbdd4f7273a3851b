//! What choosing the engine of a connection costs in system calls, where there is no reason yet to
//! move it into the kernel, or no kernel that takes it: nothing. This test runs itself under
//! strace, with few and with many connections, and compares.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use underseal::blocking;
use underseal::rustls::pki_types::ServerName;
use underseal_testkit::{Certificates, KeyType, SERVER_NAME, Suite, require_program};

/// Set in the process under strace: how many connections it makes.
const CONNECTIONS: &str = "UNDERSEAL_TEST_CONNECTIONS";

const SUITE: Suite = Suite::Tls13Aes128;

/// Makes connections with everything at its default, and uses them.
fn connect(times: usize) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let acceptor = blocking::TlsAcceptor::from(Arc::new(certificates.server_config(SUITE)));
    let connector = blocking::TlsConnector::from(Arc::new(certificates.client_config(SUITE)));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let server = thread::spawn(move || {
        for _ in 0..times {
            let (socket, _) = listener.accept().expect("a client");
            let mut stream = acceptor.accept(socket).expect("a handshake");
            stream.write_all(b"hello").expect("room");
        }
    });
    for _ in 0..times {
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let socket = TcpStream::connect(address).expect("a server");
        let mut stream = connector.connect(name, socket).expect("a handshake");
        stream.read_exact(&mut [0; 5]).expect("what it says");
    }
    server.join().expect("a server");
}

/// Calls on options of sockets that a process makes for so many connections.
fn option_calls(times: usize) -> usize {
    let output = Command::new(require_program("strace"))
        .args([
            "-f",
            "-e",
            "trace=setsockopt,getsockopt",
            "-e",
            "signal=none",
        ])
        .arg(env::current_exe().expect("this test"))
        .args([
            "--exact",
            "choosing_an_engine_costs_no_call_that_it_need_not",
        ])
        .env(CONNECTIONS, times.to_string())
        .output()
        .expect("strace runs");
    let trace = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{trace}");
    let calls = trace.lines().filter(|line| line.contains("sockopt("));
    calls.count()
}

#[test]
fn choosing_an_engine_costs_no_call_that_it_need_not() {
    if let Ok(times) = env::var(CONNECTIONS) {
        return connect(times.parse().expect("a number"));
    }
    let (few, many) = (2, 12);
    let more = option_calls(many) - option_calls(few);
    assert_eq!(more, 0, "calls for {} more connections", many - few);
}
