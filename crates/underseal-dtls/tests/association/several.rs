//! Several threads or tasks receive on one socket: what came for all is seen by each, and what came
//! for one is lost by none.

use std::sync::mpsc;
use std::time::Duration;

use underseal_dtls::{Batch, Error};
use underseal_record::ContentType;
use underseal_testkit::PATIENCE;

use crate::tasks;
use crate::{Wire, recv, socket_and_wire};

/// Records that change nothing, and take a while to open: who looks meanwhile finds nothing yet.
fn ignored(wire: &mut Wire, count: usize) -> Vec<u8> {
    let hello_request = |_| wire.seal(ContentType::HANDSHAKE, &[0; 12]);
    (0..count).flat_map(hello_request).collect()
}

#[test]
fn every_thread_learns_that_the_peer_has_closed() {
    let (socket, mut wire) = socket_and_wire();
    let (ended, ends) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (ended, socket) = (ended.clone(), &socket);
            scope.spawn(move || {
                let end = recv(socket);
                ended.send(matches!(end, Err(Error::ClosedByPeer))).unwrap();
            });
        }
        // Time for all of them to wait; without it the test only asks less.
        std::thread::sleep(Duration::from_millis(100));
        let alert = wire.seal(ContentType::ALERT, &[1, 0]);
        wire.send(&alert);
        let ends: Vec<_> = (0..4).map(|_| ends.recv_timeout(PATIENCE)).collect();
        // Whoever is left waits for a datagram.
        (0..4).for_each(|_| wire.send(b"one more"));
        assert_eq!(ends, [Ok(true); 4]);
    });
}

#[test]
fn a_thread_that_waits_for_another_has_the_same_timeout() {
    let (socket, mut wire) = socket_and_wire();
    std::thread::scope(|scope| {
        scope.spawn(|| recv(&socket).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        let timeout = Some(Duration::from_millis(20));
        socket.socket().set_read_timeout(timeout).unwrap();
        let waited = recv(&socket);
        let data = wire.data("at last");
        wire.send(&data);
        assert!(matches!(waited, Err(Error::Socket(error))
            if error.kind() == std::io::ErrorKind::WouldBlock));
    });
}

#[test]
fn no_payload_is_lost_between_threads_that_receive_in_different_ways() {
    let (socket, mut wire) = socket_and_wire();
    let (received, payloads) = mpsc::channel();
    let rounds = 200;
    std::thread::scope(|scope| {
        let (one, socket) = (received.clone(), &socket);
        scope.spawn(move || {
            while let Ok(text) = recv(socket) {
                one.send(text).unwrap();
            }
        });
        scope.spawn(move || {
            let mut batch = Batch::new();
            while socket.recv_batch(&mut batch).is_ok() {
                for payload in batch.iter() {
                    received
                        .send(String::from_utf8_lossy(payload).into_owned())
                        .unwrap();
                }
            }
        });
        for round in 0..rounds {
            let several: Vec<_> = (0..3).flat_map(|_| wire.data("x")).collect();
            let nothing = ignored(&mut wire, 3);
            wire.send(&nothing);
            wire.send(&several);
            for _ in 0..3 {
                let payload = payloads.recv_timeout(PATIENCE);
                assert_eq!(payload.as_deref(), Ok("x"), "round {round}");
            }
        }
        let alert = wire.seal(ContentType::ALERT, &[1, 0]);
        wire.send(&alert);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_task_learns_that_the_peer_has_closed() {
    for round in 0..20 {
        let (near, far) = tasks::pair();
        let far = std::sync::Arc::new(far);
        let receive = |_| {
            let far = far.clone();
            tokio::spawn(async move { far.recv(&mut [0; 10]).await })
        };
        let waiting: Vec<_> = (0..4).map(receive).collect();
        // As above.
        tokio::time::sleep(Duration::from_millis(2)).await;
        near.close();
        for task in waiting {
            let ended = tokio::time::timeout(PATIENCE, task).await;
            let ended = ended.unwrap_or_else(|_| panic!("round {round}: a task waits"));
            assert!(matches!(ended.unwrap(), Err(Error::ClosedByPeer)));
        }
    }
}
