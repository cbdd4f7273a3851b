//! python-mbedtls: Mbed TLS in a process of Python's, as a client and as an echo server.

use std::net::UdpSocket;
use std::process::Command;

use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::peers::{python_with_module, spawn_listening};
use underseal_testkit::{Certificates, PATIENCE, Peer, SERVER_NAME};

use crate::{SUITES, await_client, certificates, client, recv, server, socket_to};

fn python(certificates: &Certificates, script: &str) -> Command {
    python_with_module("python-mbedtls", "mbedtls", certificates, script)
}

#[test]
fn a_client_talks_with_mbed_tls_both_ways_under_every_suite() {
    let certificates = certificates();
    for suite in SUITES {
        let mut command = python(&certificates, include_str!("mbedtls/server.py"));
        let (_peer, address) = spawn_listening(&mut command, "listening");
        let ssl = client(&certificates, suite);
        let socket = DtlsSocket::connect(ssl, socket_to(address), PATIENCE).unwrap();
        for text in ["one", "two", &"long".repeat(250)] {
            socket.send(text.as_bytes()).unwrap();
            assert_eq!(recv(&socket).unwrap(), text);
        }
        socket.close();
    }
}

#[test]
fn a_server_talks_with_mbed_tls_both_ways() {
    let certificates = certificates();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let mut command = python(&certificates, include_str!("mbedtls/client.py"));
    let peer = Peer::spawn(command.args([SERVER_NAME, &port]));
    let socket = await_client(socket);
    let socket = DtlsSocket::accept(server(&certificates), socket, PATIENCE).unwrap();
    for text in ["one", "two", &"long".repeat(250)] {
        assert_eq!(recv(&socket).unwrap(), text);
        socket.send(text.as_bytes()).unwrap();
    }
    assert_eq!(peer.finish().successful().text(), "done\n");
}
