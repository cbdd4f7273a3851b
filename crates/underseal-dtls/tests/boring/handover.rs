//! What a hand-over refuses.

use std::net::UdpSocket;
use std::thread;

use boring::ssl::{Ssl, SslStream, SslVersion};
use underseal_dtls::blocking::DtlsSocket;
use underseal_dtls::boring::prepare;
use underseal_dtls::{Error, HandshakeIo, Refusal};
use underseal_testkit::PATIENCE;

use crate::native::Native;
use crate::{certificates, client, client_context, recv, server, server_context, sockets, ssl};

fn refused(client: Ssl, server: Ssl) -> Refusal {
    let (near, far) = sockets();
    let accepting = thread::spawn(move || DtlsSocket::accept_boring(server, far, PATIENCE));
    let refused = DtlsSocket::connect_boring(client, near, PATIENCE);
    let _ = accepting.join().unwrap();
    match refused {
        Err(Error::Handover(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// What BoringSSL has opened before the hand-over is its reader's, and comes no second time.
#[test]
fn what_was_read_from_boringssl_is_not_received_again() {
    let certificates = certificates();
    let (near, far) = sockets();
    let ssl = server(&certificates);
    let accepting = thread::spawn(move || {
        let mut theirs = Native::accept(ssl, far);
        theirs.send("read");
        theirs
    });
    let mut ssl = client(&certificates);
    prepare(&mut ssl).unwrap();
    let mut ours = SslStream::new(ssl, HandshakeIo::new(near).unwrap()).unwrap();
    ours.connect().unwrap();
    let mut buffer = [0; 100];
    assert_eq!(ours.ssl_read(&mut buffer).unwrap(), 4);
    let ours = DtlsSocket::from_boring(ours).unwrap();
    let mut theirs = accepting.join().unwrap();
    theirs.send("fresh");
    assert_eq!(recv(&ours).unwrap(), "fresh");
    ours.send(b"answer").unwrap();
    assert_eq!(theirs.recv(), "answer");
}

#[test]
fn another_version_is_refused() {
    let (certificates, version) = (certificates(), SslVersion::DTLS1_2);
    let client = ssl(client_context(&certificates, version));
    let server = ssl(server_context(&certificates, version));
    let why = refused(client, server);
    assert_eq!(why, Refusal::Version("DTLSv1.2".to_owned()));
}

#[test]
fn secrets_that_were_not_kept_are_said_to_be_missing() {
    let certificates = certificates();
    let context = client_context(&certificates, SslVersion::DTLS1_3).build();
    let client = Ssl::new(&context).unwrap();
    assert_eq!(refused(client, server(&certificates)), Refusal::NoSecrets);
}

#[test]
fn a_handshake_that_is_not_finished_is_refused() {
    let (near, _far) = sockets();
    let mut ssl = client(&certificates());
    prepare(&mut ssl).unwrap();
    let stream: SslStream<HandshakeIo<UdpSocket>> =
        SslStream::new(ssl, HandshakeIo::new(near).unwrap()).unwrap();
    let refused = DtlsSocket::from_boring(stream);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::NotFinished))
    ));
}

#[test]
fn a_peer_that_is_not_trusted_fails_the_handshake() {
    let (near, far) = sockets();
    let server = server(&certificates());
    let accepting = thread::spawn(move || DtlsSocket::accept_boring(server, far, PATIENCE));
    let refused = DtlsSocket::connect_boring(client(&certificates()), near, PATIENCE);
    assert!(matches!(refused, Err(Error::BoringHandshake(_))));
    assert!(accepting.join().unwrap().is_err());
}

#[test]
fn a_handshake_with_nobody_ends_in_time() {
    let (near, _far) = sockets();
    let limit = std::time::Duration::from_millis(200);
    let late = DtlsSocket::connect_boring(client(&certificates()), near, limit);
    assert!(matches!(late, Err(Error::HandshakeTimedOut)));
}
