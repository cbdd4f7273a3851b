//! Data that comes before the peer's Finished, because datagrams change places on their way: it is
//! delivered, and first.

use std::io::{Read, Write};
use std::iter;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use openssl::ssl::{Ssl, SslStream};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::message::{Filter, Message, Verdict};
use underseal_dtls::{Discard, Error, Event, HandshakeIo, ListenerConfig};
use underseal_testkit::{Certificates, PATIENCE, Peer, free_port, peers, require_program};

use crate::last_flight::ends_the_handshake;
use crate::listener::blocking::{established, listener};
use crate::listener::{Echo, Told};
use crate::relay::Relay;
use crate::{SUITES, certificates, client, recv, server, server_context, socket_to, sockets};

/// Carries datagrams one way. The first that ends a handshake goes behind as many that follow it as are to be
/// `ahead`.
fn carry(from: &UdpSocket, to: &UdpSocket, mut ahead: usize) {
    let [from, to] = [from, to].map(|socket| socket.try_clone().unwrap());
    thread::spawn(move || {
        let (mut held, mut buffer) = (None, vec![0; 1 << 16]);
        while let Ok(len) = from.recv(&mut buffer) {
            let datagram = &buffer[..len];
            if ahead > 0 && held.is_none() && ends_the_handshake(datagram) {
                held = Some(datagram.to_vec());
                continue;
            }
            ahead -= usize::from(held.is_some());
            let after = held.take_if(|_| ahead == 0);
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
    carry(&near, server, 0);
    carry(server, &near, 1);
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
fn between(ahead: usize) -> (UdpSocket, UdpSocket) {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (behind, server) = sockets();
    let waiting = front.try_clone().unwrap();
    thread::spawn(move || {
        let (_, client) = waiting.peek_from(&mut [0; 1]).unwrap();
        waiting.connect(client).unwrap();
        carry(&waiting, &behind, ahead);
        carry(&behind, &waiting, 0);
    });
    (front, server)
}

#[test]
fn a_server_receives_what_s_client_sent_before_its_finished_came() {
    let certificates = certificates();
    let context = server_context(&certificates).build();
    let session = certificates.directory().join("session");
    for (option, ahead) in [("-sess_out", 0), ("-sess_in", 1)] {
        let (front, socket) = between(ahead);
        let mut peer = s_client(&certificates, &front, option, &session);
        let server = DtlsSocket::accept(Ssl::new(&context).unwrap(), socket, PATIENCE).unwrap();
        assert_eq!(recv(&server).unwrap(), "early\n");
        // Of a session that is resumed the client sends the last flight: nothing is sent again for it.
        if ahead > 0 {
            assert_eq!(server.counters().flights_resent, 0);
        }
        peer.write("later\n");
        assert_eq!(recv(&server).unwrap(), "later\n");
        peer.close_stdin();
        peer.finish().successful();
    }
}

/// `openssl s_client` of the listener at `address`, with that many datagrams ahead of its Finished.
fn s_client_of(
    address: SocketAddr,
    certificates: &Certificates,
    option: &str,
    ahead: usize,
) -> Peer {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let behind = socket_to(address);
    let session = certificates.directory().join("session");
    let peer = s_client(certificates, &front, option, &session);
    let (_, client) = front.peek_from(&mut [0; 1]).unwrap();
    front.connect(client).unwrap();
    carry(&front, &behind, ahead);
    carry(&behind, &front, 0);
    peer
}

#[test]
fn a_listener_tells_of_what_came_before_the_finished() {
    let server = Echo::start(ListenerConfig::default());
    for (option, ahead) in [("-sess_out", 0), ("-sess_in", 1)] {
        let mut peer = s_client_of(server.address, &server.certificates, option, ahead);
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

#[test]
fn a_program_attached_when_a_listener_tells_of_a_peer_judges_what_came_before_the_finished() {
    let certificates = certificates();
    let mut listener = listener(&certificates);
    let address = listener.get_ref().socket().local_addr().unwrap();
    let judges = |message: &mut Message<'_>| {
        message.push(0, b"judged: ").unwrap();
        Verdict::Pass
    };
    let mut buffer = [0; 100];
    for (option, ahead) in [("-sess_out", 0), ("-sess_in", 1)] {
        let _client = s_client_of(address, &certificates, option, ahead);
        let peer = established(&mut listener);
        peer.attach(Filter::ingress(judges)).unwrap();
        match listener.recv(&mut buffer).unwrap() {
            Event::Datagram { len, .. } => assert_eq!(&buffer[..len], b"judged: early\n"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_listener_tells_once_of_an_end_with_more_behind_it_that_came_before_the_finished() {
    let certificates = certificates();
    let mut listener = listener(&certificates);
    let address = listener.get_ref().socket().local_addr().unwrap();
    let panics = |_: &mut Message<'_>| panic!("the test has it panic");
    // Data and a close_notify.
    for (option, ahead) in [("-sess_out", 0), ("-sess_in", 2)] {
        let mut client = s_client_of(address, &certificates, option, ahead);
        client.close_stdin();
        let peer = established(&mut listener);
        peer.attach(Filter::ingress(panics)).unwrap();
        let ended = listener.recv(&mut []).unwrap();
        assert!(
            matches!(&ended, Event::Ended { why, .. } if matches!(why, Error::Denied(_))),
            "{ended:?}"
        );
        let event = listener.recv_timeout(&mut [], Duration::ZERO).unwrap();
        assert!(event.is_none(), "{event:?}");
        let counters = listener.get_ref().counters();
        let behind_the_end = u64::from(ahead == 2);
        assert_eq!(counters.records.dropped(Discard::Ended), behind_the_end);
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

/// OpenSSL sends its Finished again under a new number: behind the data that it has sent meanwhile, of which the first came
/// and the others were lost.
#[test]
fn data_is_received_that_is_older_than_the_window_when_the_finished_comes() {
    const LOST: usize = 2100;
    let (early, keeps) = mpsc::channel();
    let (mut finished, mut kept) = (0, false);
    let (near, far, relay) = Relay::between(move |datagram| {
        let is_data = datagram[0] == 23;
        finished += usize::from(!is_data && ends_the_handshake(datagram));
        if is_data && !kept {
            kept = true;
            early.send(datagram.to_vec()).unwrap();
            return true;
        }
        finished > 1 || (finished == 0 && !is_data)
    });
    let certificates = certificates();
    let mut ssl = server(&certificates);
    let serving = thread::spawn(move || {
        ssl.set_accept_state();
        let mut server = SslStream::new(ssl, HandshakeIo::new(far).unwrap()).unwrap();
        server.do_handshake().unwrap();
        for payload in iter::once("early").chain(iter::repeat_n("x", LOST)) {
            server.write_all(payload.as_bytes()).unwrap();
        }
        let mut question = [0; 100];
        let len = server.read(&mut question).unwrap();
        server.write_all(&question[..len]).unwrap();
    });
    let client = DtlsSocket::connect(client(&certificates, SUITES[0]), near, PATIENCE).unwrap();
    relay.send_to_client(&keeps.recv().unwrap());
    client.send(b"later").unwrap();
    assert_eq!(recv(&client).unwrap(), "early");
    assert_eq!(recv(&client).unwrap(), "later");
    assert_eq!(client.counters().dropped(Discard::TooOld), 1);
    serving.join().unwrap();
}
