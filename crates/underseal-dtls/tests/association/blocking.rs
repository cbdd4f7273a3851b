use std::io::ErrorKind;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use underseal_dtls::Error;
use underseal_dtls::blocking::DtlsSocket;
use underseal_record::{ApiMisuse, MAX_PLAINTEXT};

use crate::{parts, recv, socket_and_wire, sockets};

pub(crate) fn pair() -> (DtlsSocket, DtlsSocket) {
    let (near, far) = sockets();
    let near = DtlsSocket::from_parts(near, parts(0)).unwrap();
    (near, DtlsSocket::from_parts(far, parts(1)).unwrap())
}

#[test]
fn datagrams_keep_their_bounds() {
    let (near, far) = pair();
    let mut buffer = vec![0; MAX_PLAINTEXT];
    for len in [0, 1, 1400, MAX_PLAINTEXT] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        assert_eq!(near.send(&payload).unwrap(), len);
        let received = far.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..received], payload);
    }
    let counters = (near.counters(), far.counters());
    assert_eq!((counters.0.sealed, counters.1.opened), (4, 4));
}

#[test]
fn what_does_not_fit_the_buffer_is_lost() {
    let (near, far) = pair();
    near.send(b"a long one").unwrap();
    near.send(b"next").unwrap();
    let mut buffer = [0; 6];
    assert_eq!(far.recv(&mut buffer).unwrap(), 6);
    assert_eq!(&buffer, b"a long");
    assert_eq!(far.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn a_payload_that_is_too_long_is_refused_and_nothing_is_sent() {
    let (near, far) = pair();
    let refused = near.send(&vec![0; MAX_PLAINTEXT + 1]);
    let too_long = underseal_record::Error::ApiMisuse(ApiMisuse::PlaintextTooLong);
    assert!(matches!(refused, Err(Error::Record(error)) if error == too_long));
    near.send(b"short").unwrap();
    assert_eq!(recv(&far).unwrap(), "short");
}

#[test]
fn threads_send_and_receive_at_once() {
    let (near, far) = pair();
    thread::scope(|scope| {
        let echo = scope.spawn(|| {
            for _ in 0..50 {
                let text = recv(&far).unwrap();
                far.send(text.as_bytes()).unwrap();
            }
        });
        let receiver = scope.spawn(|| (0..50).map(|_| recv(&near).unwrap()).collect::<Vec<_>>());
        for number in 0..50 {
            near.send(format!("{number}").as_bytes()).unwrap();
        }
        echo.join().unwrap();
        let mut back: Vec<u32> = receiver
            .join()
            .unwrap()
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        back.sort_unstable();
        assert_eq!(back, (0..50).collect::<Vec<_>>());
    });
}

#[test]
fn several_records_of_one_datagram_are_received_one_by_one() {
    let (socket, mut wire) = socket_and_wire();
    let datagram = [wire.data("one"), wire.data("two"), wire.data("three")].concat();
    wire.send(&datagram);
    for text in ["one", "two", "three"] {
        assert_eq!(recv(&socket).unwrap(), text);
    }
}

#[test]
fn an_association_moves_to_another_socket_object_and_goes_on() {
    let (near, far) = pair();
    near.send(b"before").unwrap();
    let (socket, parts) = near.into_parts();
    let near = DtlsSocket::from_parts(socket, parts).unwrap();
    near.send(b"after").unwrap();
    assert_eq!(recv(&far).unwrap(), "before");
    assert_eq!(recv(&far).unwrap(), "after");
}

#[test]
fn a_socket_that_is_not_connected_is_refused() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let refused = DtlsSocket::from_parts(socket, parts(0));
    assert!(matches!(refused, Err(Error::Socket(_))));
}

/// The read timeout began when the call did, and not when it dropped something.
#[test]
fn what_does_not_open_does_not_make_a_receive_wait_longer() {
    let (socket, mut wire) = socket_and_wire();
    let timeout = Duration::from_secs(1);
    socket.socket().set_read_timeout(Some(timeout)).unwrap();
    let late = wire.data("late");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                if is_over.load(Relaxed) {
                    return;
                }
                wire.send(&[23; 20]);
                thread::sleep(timeout / 10);
            }
            // For who begins to wait anew with each of them.
            wire.send(&late);
        });
        let received = recv(&socket);
        is_over.store(true, Relaxed);
        let is_late = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        assert!(
            matches!(&received, Err(Error::Socket(error)) if is_late(error)),
            "{received:?}"
        );
    });
}
