//! `gnutls-serv` as an echo server, and `gnutls-cli`.

use std::net::UdpSocket;

use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::{PATIENCE, Peer, free_port, peers};

use crate::{SUITES, await_client, certificates, client, patiently, recv, server, socket_to};

#[test]
fn a_client_talks_with_gnutls_serv_both_ways_under_every_suite() {
    let certificates = certificates();
    for suite in SUITES {
        let port = free_port();
        let mut command = peers::gnutls_server(&certificates, port);
        let peer = Peer::spawn(command.args(["--udp", "--echo"]));
        let socket = socket_to(([127, 0, 0, 1], port).into());
        let socket = patiently(|| {
            DtlsSocket::connect(client(&certificates, suite), socket.try_clone()?, PATIENCE)
        });
        // Its buffer has 256 bytes.
        for text in ["one\n", "two\n", &"long".repeat(60)] {
            socket.send(text.as_bytes()).unwrap();
            assert_eq!(recv(&socket).unwrap(), text);
        }
        socket.close();
        drop(peer);
    }
}

#[test]
fn a_server_talks_with_gnutls_cli_both_ways() {
    let certificates = certificates();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = peers::gnutls_client(&certificates, socket.local_addr().unwrap());
    let mut peer = Peer::spawn(command.args(["--udp", underseal_testkit::SERVER_NAME]));
    let socket = await_client(socket);
    let socket = DtlsSocket::accept(server(&certificates), socket, PATIENCE).unwrap();
    peer.write("to the server\n");
    assert_eq!(recv(&socket).unwrap(), "to the server\n");
    socket.send(b"to the client\n").unwrap();
    peer.wait_for("to the client");
    peer.close_stdin();
    assert!(matches!(recv(&socket), Err(Error::ClosedByPeer)));
}
