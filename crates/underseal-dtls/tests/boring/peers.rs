//! Both ways, with BoringSSL's records at the other end and with ours.

use std::net::UdpSocket;
use std::thread;

use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use crate::native::Native;
use crate::{certificates, client, pair, recv, server, sockets};

fn our_client() -> (DtlsSocket, Native) {
    let certificates = certificates();
    let (near, far) = sockets();
    let ssl = server(&certificates);
    let accepting = thread::spawn(move || Native::accept(ssl, far));
    let ours = DtlsSocket::connect_boring(client(&certificates), near, PATIENCE).unwrap();
    (ours, accepting.join().unwrap())
}

fn our_server() -> (DtlsSocket, Native) {
    let certificates = certificates();
    let (near, far) = sockets();
    let ssl = server(&certificates);
    let accepting = thread::spawn(move || DtlsSocket::accept_boring(ssl, far, PATIENCE));
    let theirs = Native::connect(client(&certificates), near);
    (accepting.join().unwrap().unwrap(), theirs)
}

/// There and back. Each side reads what came with it: ACKs, tickets, key updates.
fn talk(ours: &DtlsSocket, theirs: &mut Native, text: &str) {
    ours.send(text.as_bytes()).unwrap();
    assert_eq!(theirs.recv(), text);
    theirs.send(text);
    assert_eq!(recv(ours).unwrap(), text);
}

#[test]
fn both_sides_go_on_below_their_handshake() {
    let certificates = certificates();
    let (near, far) = pair(client(&certificates), server(&certificates));
    for _ in 0..3 {
        near.send(b"question").unwrap();
        assert_eq!(recv(&far).unwrap(), "question");
        far.send(b"answer").unwrap();
        assert_eq!(recv(&near).unwrap(), "answer");
        near.update_keys(true).unwrap();
    }
    far.close();
    assert!(matches!(recv(&near), Err(Error::ClosedByPeer)));
}

#[test]
fn a_client_talks_with_boringssl_both_ways() {
    let (ours, mut theirs) = our_client();
    for text in ["one", "two", &"long".repeat(250)] {
        talk(&ours, &mut theirs, text);
    }
    ours.close();
    assert!(theirs.is_closed_by_peer());
}

#[test]
fn a_server_talks_with_boringssl_both_ways() {
    let (ours, mut theirs) = our_server();
    for text in ["one", "two", &"long".repeat(250)] {
        talk(&ours, &mut theirs, text);
    }
    theirs.close();
    assert!(matches!(recv(&ours), Err(Error::ClosedByPeer)));
}

/// Talks until either side has the other's ACK, which BoringSSL sends after a while.
fn settle(ours: &DtlsSocket, theirs: &mut Native) {
    for _ in 0..3 {
        talk(ours, theirs, "more");
        thread::sleep(std::time::Duration::from_millis(150));
    }
}

#[test]
fn keys_are_updated_by_us_and_boringssl_follows() {
    for make in [our_client, our_server] {
        let (ours, mut theirs) = make();
        settle(&ours, &mut theirs);
        for request in [false, true, false] {
            ours.update_keys(request).unwrap();
            settle(&ours, &mut theirs);
        }
        assert_eq!(ours.counters().all_dropped(), 0);
    }
}

#[test]
fn keys_are_updated_by_boringssl_and_we_follow() {
    for make in [our_client, our_server] {
        let (ours, mut theirs) = make();
        settle(&ours, &mut theirs);
        for request in [false, true, false] {
            theirs.update_keys(request);
            settle(&ours, &mut theirs);
        }
        assert_eq!(ours.counters().all_dropped(), 0);
    }
}

#[tokio::test]
async fn tasks_take_handshakes_over_and_talk() {
    let certificates = certificates();
    let (near, far) = sockets();
    let adopt = |socket: UdpSocket| {
        socket.set_nonblocking(true).unwrap();
        tokio::net::UdpSocket::from_std(socket).unwrap()
    };
    let accepted =
        underseal_dtls::DtlsSocket::accept_boring(server(&certificates), adopt(far), PATIENCE);
    let connected =
        underseal_dtls::DtlsSocket::connect_boring(client(&certificates), adopt(near), PATIENCE);
    let (far, near) = tokio::join!(accepted, connected);
    let (far, near) = (far.unwrap(), near.unwrap());
    let mut buffer = [0; 100];
    for turn in 0..4 {
        near.send(b"question").await.unwrap();
        assert_eq!(far.recv(&mut buffer).await.unwrap(), 8);
        far.send(b"answer").await.unwrap();
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 6);
        near.update_keys(turn % 2 == 0).unwrap();
    }
    assert_eq!(near.counters().all_dropped(), 0);
}
