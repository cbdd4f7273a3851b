//! Data that comes before the peer's Finished, because datagrams change places on their way: it is
//! delivered, and first.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::thread;

use openssl::ssl::{Ssl, SslStream};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{HandshakeIo, ListenerConfig};
use underseal_testkit::{Certificates, PATIENCE, Peer, free_port, peers, require_program};

use crate::last_flight::ends_the_handshake;
use crate::listener::{Echo, Told};
use crate::{SUITES, certificates, client, recv, server, server_context, socket_to, sockets};

/// Carries datagrams one way. The first that ends a handshake goes behind the one that follows it, if
/// `reorders`.
fn carry(from: &UdpSocket, to: &UdpSocket, mut reorders: bool) {
    let [from, to] = [from, to].map(|socket| socket.try_clone().unwrap());
    thread::spawn(move || {
        let (mut held, mut buffer) = (None, vec![0; 1 << 16]);
        while let Ok(len) = from.recv(&mut buffer) {
            let datagram = &buffer[..len];
            if reorders && ends_the_handshake(datagram) {
                held = Some(datagram.to_vec());
                reorders = false;
                continue;
            }
            let after = held.take();
            let sent = [Some(datagram), after.as_deref()].into_iter().flatten();
            if sent
                .map(|datagram| to.send(datagram))
                .any(|sent| sent.is_err())
            {
                return;
            }
        }
    });
}

/// A client's socket whose datagrams go to `server`, and come back in another order.
fn towards(server: &UdpSocket) -> UdpSocket {
    let (client, near) = sockets();
    carry(&near, server, false);
    carry(server, &near, true);
    client
}

#[test]
fn a_client_receives_what_s_server_sent_before_its_finished_came() {
    let certificates = certificates();
    let port = free_port();
    let mut command = Command::new(require_program("openssl"));
    command.args(["s_server", "-dtls1_2"]);
    command.args(["-accept", &format!("127.0.0.1:{port}")]);
    command.arg("-cert").arg(certificates.server_cert_file());
    command.arg("-key").arg(certificates.server_key_file());
    let mut peer = Peer::spawn(&mut command);
    peer.wait_for("ACCEPT");
    peer.write("early\n");
    let socket = towards(&socket_to(([127, 0, 0, 1], port).into()));
    let socket = DtlsSocket::connect(client(&certificates, SUITES[0]), socket, PATIENCE).unwrap();
    assert_eq!(recv(&socket).unwrap(), "early\n");
    assert_eq!(socket.counters().opened, 1);
    peer.write("later\n");
    assert_eq!(recv(&socket).unwrap(), "later\n");
    socket.send(b"to the server\n").unwrap();
    peer.wait_for("to the server");
}

/// `openssl s_client` with the session of `file`, or to keep one there.
fn s_client(certificates: &Certificates, to: &UdpSocket, option: &str, file: &Path) -> Peer {
    let mut command = peers::openssl_client(certificates, to.local_addr().unwrap());
    command.args(["-dtls1_2", "-quiet", "-no_ign_eof", "-cipher", SUITES[0]]);
    command.arg(option).arg(file);
    let mut peer = Peer::spawn(&mut command);
    peer.write("early\n");
    peer
}

/// A socket for one client, and the server's behind it. A client that resumes a session sends the last
/// Finished, and data behind it.
fn between(reorders: bool) -> (UdpSocket, UdpSocket) {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (behind, server) = sockets();
    let waiting = front.try_clone().unwrap();
    thread::spawn(move || {
        let (_, client) = waiting.peek_from(&mut [0; 1]).unwrap();
        waiting.connect(client).unwrap();
        carry(&waiting, &behind, reorders);
        carry(&behind, &waiting, false);
    });
    (front, server)
}

#[test]
fn a_server_receives_what_s_client_sent_before_its_finished_came() {
    let certificates = certificates();
    let context = server_context(&certificates).build();
    let session = certificates.directory().join("session");
    for (option, resumes) in [("-sess_out", false), ("-sess_in", true)] {
        let (front, socket) = between(resumes);
        let mut peer = s_client(&certificates, &front, option, &session);
        let server = DtlsSocket::accept(Ssl::new(&context).unwrap(), socket, PATIENCE).unwrap();
        assert_eq!(recv(&server).unwrap(), "early\n");
        // Of a session that is resumed the client sends the last flight: nothing is sent again for it.
        assert_eq!(server.counters().opened, 1, "{option}");
        assert_eq!(server.counters().flights_resent, 0, "{option}");
        peer.write("later\n");
        assert_eq!(recv(&server).unwrap(), "later\n");
        peer.close_stdin();
        peer.finish().successful();
    }
}

#[test]
fn a_listener_tells_of_what_came_before_the_finished() {
    let server = Echo::start(ListenerConfig::default());
    let session = server.certificates.directory().join("session");
    for (option, resumes) in [("-sess_out", false), ("-sess_in", true)] {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let behind = socket_to(server.address);
        let mut peer = s_client(&server.certificates, &front, option, &session);
        let (_, client) = front.peek_from(&mut [0; 1]).unwrap();
        front.connect(client).unwrap();
        carry(&front, &behind, resumes);
        carry(&behind, &front, false);
        server.established();
        let told = server.next();
        assert!(
            matches!(&told, Told::Datagram(data, _) if data == "early\n"),
            "{told:?}"
        );
        peer.wait_for("early");
        peer.close_stdin();
        assert!(matches!(server.next(), Told::Ended(_)), "{option}");
        peer.finish().successful();
    }
}

/// Both sides of a handshake of the `openssl` crate; the server has sent `payloads` behind its Finished,
/// the first of which came before it.
fn handshaken(payloads: &'static [&'static [u8]]) -> SslStream<HandshakeIo<UdpSocket>> {
    let certificates = certificates();
    let (behind, socket) = sockets();
    let mut ssl = server(&certificates);
    ssl.set_accept_state();
    let serving = thread::spawn(move || {
        let mut stream = SslStream::new(ssl, HandshakeIo::new(socket).unwrap()).unwrap();
        stream.do_handshake().unwrap();
        for payload in payloads {
            stream.write_all(payload).unwrap();
        }
    });
    let mut ssl = client(&certificates, SUITES[0]);
    ssl.set_connect_state();
    let io = HandshakeIo::new(towards(&behind)).unwrap();
    let mut stream = SslStream::new(ssl, io).unwrap();
    stream.do_handshake().unwrap();
    serving.join().unwrap();
    stream
}

#[test]
fn what_nobody_read_from_openssl_is_received_first() {
    let stream = handshaken(&[b"early", b"later"]);
    let socket = DtlsSocket::from_openssl(stream).unwrap();
    assert_eq!(recv(&socket).unwrap(), "early");
    assert_eq!(recv(&socket).unwrap(), "later");
}

#[test]
fn what_somebody_read_from_openssl_is_not_received_again() {
    let mut stream = handshaken(&[b"early", b"early", b"later"]);
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 5);
    let socket = DtlsSocket::from_openssl(stream).unwrap();
    assert_eq!(recv(&socket).unwrap(), "early");
    assert_eq!(recv(&socket).unwrap(), "later");
}
