//! `openssl s_server` and `s_client`.

use std::net::UdpSocket;
use std::process::Command;

use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::{PATIENCE, Peer, free_port, peers, require_program};

use crate::{SUITES, await_client, certificates, client, patiently, recv, server, socket_to};

#[test]
fn a_client_talks_with_s_server_both_ways_under_every_suite() {
    let certificates = certificates();
    for suite in SUITES {
        let port = free_port();
        let mut command = Command::new(require_program("openssl"));
        command.current_dir(certificates.directory());
        command.args(["s_server", "-dtls1_2", "-quiet", "-naccept", "1"]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(certificates.server_cert_file());
        command.arg("-key").arg(certificates.server_key_file());
        let mut peer = Peer::spawn(&mut command);
        let socket = socket_to(([127, 0, 0, 1], port).into());
        let socket = patiently(|| {
            DtlsSocket::connect(client(&certificates, suite), socket.try_clone()?, PATIENCE)
        });
        socket.send(b"to the server\n").unwrap();
        peer.wait_for("to the server");
        peer.write("to the client\n");
        assert_eq!(recv(&socket).unwrap(), "to the client\n");
        socket.close();
        assert!(matches!(recv(&socket), Err(Error::ClosedByPeer)));
    }
}

#[test]
fn a_server_talks_with_s_client_both_ways_under_every_suite() {
    let certificates = certificates();
    for suite in SUITES {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut command = peers::openssl_client(&certificates, address);
        command.args(["-dtls1_2", "-quiet", "-no_ign_eof", "-cipher", suite]);
        let mut peer = Peer::spawn(&mut command);
        let socket = await_client(socket);
        let socket = DtlsSocket::accept(server(&certificates), socket, PATIENCE).unwrap();
        peer.write("to the server\n");
        assert_eq!(recv(&socket).unwrap(), "to the server\n");
        socket.send(b"to the client\n").unwrap();
        peer.wait_for("to the client");
        peer.close_stdin();
        assert!(matches!(recv(&socket), Err(Error::ClosedByPeer)));
        peer.finish().successful();
    }
}
