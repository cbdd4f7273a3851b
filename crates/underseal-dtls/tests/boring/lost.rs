//! What is lost at the end of a handshake is repeated by the socket that took it over.

use std::thread;

use underseal_dtls::blocking::DtlsSocket;
use underseal_testkit::PATIENCE;

use crate::native::Native;
use crate::relay::{between, drop_first};
use crate::{certificates, client, recv, server};

#[test]
fn a_clients_finished_that_is_lost_is_repeated() {
    let certificates = certificates();
    let (near, far) = between(drop_first(1, 2), |_| true);
    let ssl = server(&certificates);
    let accepting = thread::spawn(move || {
        let mut theirs = Native::accept(ssl, far);
        theirs.send("hello");
        theirs
    });
    let ours = DtlsSocket::connect_boring(client(&certificates), near, PATIENCE).unwrap();
    // Before the server has the Finished it takes no data.
    assert_eq!(recv(&ours).unwrap(), "hello");
    let mut theirs = accepting.join().unwrap();
    ours.send(b"hello").unwrap();
    assert_eq!(theirs.recv(), "hello");
    assert!(ours.counters().flights_resent > 0);
}

#[test]
fn a_servers_tickets_that_are_lost_are_repeated_and_acknowledged() {
    let certificates = certificates();
    // The ACK of the Finished, and the tickets.
    let (near, far) = between(|_| true, drop_first(2, 3));
    let ssl = server(&certificates);
    let accepting = thread::spawn(move || DtlsSocket::accept_boring(ssl, far, PATIENCE));
    let mut theirs = Native::connect(client(&certificates), near);
    let ours = accepting.join().unwrap().unwrap();
    thread::scope(|scope| {
        let answering = scope.spawn(|| {
            assert_eq!(recv(&ours).unwrap(), "question");
            ours.update_keys(false).unwrap();
            ours.send(b"answer").unwrap();
            assert_eq!(recv(&ours).unwrap(), "last");
        });
        theirs.send("question");
        assert_eq!(theirs.recv(), "answer");
        // ACKs go out meanwhile.
        thread::sleep(std::time::Duration::from_millis(1500));
        theirs.send("last");
        answering.join().unwrap();
    });
    assert!(ours.counters().flights_resent > 0);
}
