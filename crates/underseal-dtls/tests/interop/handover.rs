//! What a hand-over keeps, and what it refuses.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use openssl::ssl::{Ssl, SslStream, SslVersion};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::{Discard, Error, HandshakeIo, Refusal};
use underseal_testkit::{Certificates, PATIENCE};

use crate::relay::Relay;
use crate::{SUITES, certificates, client, pair, recv, server, server_context, sockets};

type Stream = SslStream<HandshakeIo<UdpSocket>>;

fn stream(mut ssl: Ssl, socket: UdpSocket, is_server: bool) -> Stream {
    match is_server {
        true => ssl.set_accept_state(),
        false => ssl.set_connect_state(),
    }
    SslStream::new(ssl, HandshakeIo::new(socket).unwrap()).unwrap()
}

/// Both sides of a handshake that is over.
fn handshaken(certificates: &Certificates, suite: &str) -> (Stream, Stream) {
    let (near, far) = sockets();
    let client = client(certificates, suite);
    handshaken_over((client, near), (server(certificates), far))
}

fn handshaken_over(client: (Ssl, UdpSocket), server: (Ssl, UdpSocket)) -> (Stream, Stream) {
    let accepting = thread::spawn(move || {
        let mut stream = stream(server.0, server.1, true);
        stream.do_handshake().unwrap();
        stream
    });
    let mut near = stream(client.0, client.1, false);
    near.do_handshake().unwrap();
    (near, accepting.join().unwrap())
}

#[test]
fn both_sides_go_on_below_the_handshake_of_either() {
    for suite in SUITES {
        let (client, server) = pair(suite);
        client.send(b"question").unwrap();
        assert_eq!(recv(&server).unwrap(), "question");
        server.send(b"answer").unwrap();
        assert_eq!(recv(&client).unwrap(), "answer");
        server.close();
        assert!(matches!(recv(&client), Err(Error::ClosedByPeer)));
    }
}

/// The record numbers go on where OpenSSL stopped, on either side: its peer takes what we send, and
/// what it sent before is not taken again.
#[test]
fn numbers_go_on_where_openssl_stopped() {
    let certificates = certificates();
    let (mut near, mut far) = handshaken(&certificates, SUITES[0]);
    for _ in 0..3 {
        near.write_all(b"by openssl").unwrap();
        assert_eq!(far.read(&mut [0; 100]).unwrap(), 10);
    }
    let near = DtlsSocket::from_openssl(near).unwrap();
    near.send(b"by us").unwrap();
    let mut buffer = [0; 100];
    assert_eq!(far.read(&mut buffer).unwrap(), 5);
    assert_eq!(near.counters().sealed, 1);
}

#[test]
fn what_openssl_opened_is_not_opened_again() {
    let certificates = certificates();
    let (near, far, relay) = Relay::between(|_| true);
    let (mut near, mut far) = handshaken_over(
        (client(&certificates, SUITES[0]), near),
        (server(&certificates), far),
    );
    near.write_all(b"by openssl").unwrap();
    assert_eq!(far.read(&mut [0; 100]).unwrap(), 10);
    let far = DtlsSocket::from_openssl(far).unwrap();
    relay.repeat_to_server();
    near.write_all(b"fresh").unwrap();
    assert_eq!(recv(&far).unwrap(), "fresh");
    assert_eq!(
        far.counters().dropped(Discard::Replayed),
        2,
        "Finished and data"
    );
    assert_eq!(far.counters().opened, 1);
}

#[test]
fn forged_records_of_the_handshakes_time_leave_no_mark() {
    let certificates = certificates();
    let (near, far, relay) = Relay::between(|_| true);
    // The very number of the client's first datagram, and one far ahead.
    for seq in [1, 0x0fff_ffff] {
        let mut forged = vec![23, 0xfe, 0xfd, 0, 1, 0, 0];
        forged.extend(u32::to_be_bytes(seq));
        forged.extend([0, 40]);
        forged.resize(13 + 40, 7);
        relay.send_to_server(&forged);
    }
    let (mut near, far) = handshaken_over(
        (client(&certificates, SUITES[0]), near),
        (server(&certificates), far),
    );
    let far = DtlsSocket::from_openssl(far).unwrap();
    near.write_all(b"first").unwrap();
    assert_eq!(recv(&far).unwrap(), "first");
}

#[test]
fn a_handshake_that_is_not_finished_is_refused() {
    let (near, _far) = sockets();
    let stream = stream(client(&certificates(), SUITES[0]), near, false);
    assert_eq!(refusal(stream), Refusal::NotFinished);
}

#[test]
fn a_suite_or_a_version_that_is_not_known_here_is_refused() {
    let certificates = certificates();
    let suite = "ECDHE-ECDSA-AES128-SHA256";
    let (near, _far) = handshaken(&certificates, suite);
    assert_eq!(refusal(near), Refusal::CipherSuite(suite.to_owned()));

    let (near, far) = sockets();
    let lenient = "DEFAULT@SECLEVEL=0";
    let mut context = server_context(&certificates);
    context.set_cipher_list(lenient).unwrap();
    let mut old = client(&certificates, lenient);
    old.set_max_proto_version(Some(SslVersion::DTLS1)).unwrap();
    let server = Ssl::new(&context.build()).unwrap();
    let (near, _far) = handshaken_over((old, near), (server, far));
    assert_eq!(refusal(near), Refusal::Version("DTLSv1".to_owned()));
}

#[test]
fn data_that_openssl_still_holds_is_not_lost_in_silence() {
    let (mut near, mut far) = handshaken(&certificates(), SUITES[0]);
    near.write_all(b"by openssl").unwrap();
    assert_eq!(far.read(&mut [0; 4]).unwrap(), 4);
    assert_eq!(refusal(far), Refusal::UnreadData);
}

#[test]
fn a_hand_over_after_too_much_data_is_refused() {
    let (mut near, mut far) = handshaken(&certificates(), SUITES[0]);
    let mut buffer = vec![0; 1 << 14];
    for _ in 0..70 {
        near.write_all(&[0; 1000]).unwrap();
        assert_eq!(far.read(&mut buffer).unwrap(), 1000);
    }
    assert_eq!(refusal(far), Refusal::TooMuchReceived);
    // The sender has received nothing, and may go.
    DtlsSocket::from_openssl(near).unwrap();
}

#[test]
fn a_handshake_with_nobody_is_over_in_time() {
    let (near, _far) = sockets();
    let timeout = Duration::from_millis(100);
    let ssl = client(&certificates(), SUITES[0]);
    let outcome = DtlsSocket::connect(ssl, near, timeout);
    assert!(matches!(outcome, Err(Error::HandshakeTimedOut)));
}

#[test]
fn a_certificate_that_does_not_verify_fails_the_handshake() {
    let (near, far) = sockets();
    let server = server(&certificates());
    let accepting = thread::spawn(move || DtlsSocket::accept(server, far, PATIENCE));
    let ssl = client(&certificates(), SUITES[0]);
    let refused = DtlsSocket::connect(ssl, near, PATIENCE);
    assert!(matches!(refused, Err(Error::Handshake(_))));
    let refused = accepting.join().unwrap();
    assert!(matches!(refused, Err(Error::Handshake(_))));
}

fn refusal(stream: Stream) -> Refusal {
    match DtlsSocket::from_openssl(stream) {
        Err(Error::Handover(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}
