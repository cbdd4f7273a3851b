//! Trains of datagrams, sent and received in one call.

use underseal_dtls::{Batch, Discard};

use crate::blocking::pair;
use crate::{recv, socket_and_wire};

#[test]
fn payloads_of_any_lengths_arrive_as_they_were_sent() {
    for gro in [false, true] {
        let (near, far) = pair();
        far.set_gro(gro).unwrap();
        let lengths = [1000, 1000, 1000, 10, 1000, 2000, 2000, 0, 0, 5, 3, 9];
        let payloads: Vec<Vec<u8>> = (0..)
            .zip(lengths)
            .map(|(fill, len)| vec![fill; len])
            .collect();
        assert_eq!(near.send_batch(&payloads).unwrap(), payloads.len());
        let (mut batch, mut received, mut calls) = (Batch::new(), Vec::new(), 0);
        while received.len() < payloads.len() {
            let count = far.recv_batch(&mut batch).unwrap();
            assert_eq!(count, batch.len());
            received.extend(batch.iter().map(<[u8]>::to_vec));
            calls += 1;
        }
        assert_eq!(received, payloads);
        // Four of 1000, the last one shorter; one; two; and what becomes shorter each time.
        assert_eq!(calls < payloads.len(), gro, "{calls}");
    }
}

#[test]
fn a_train_is_no_longer_than_the_kernel_takes() {
    let (near, far) = pair();
    let payloads = vec![[7; 1200]; 100];
    assert_eq!(near.send_batch(&payloads).unwrap(), 100);
    for _ in 0..100 {
        assert_eq!(far.recv(&mut [0; 2000]).unwrap(), 1200);
    }
}

#[test]
fn single_receives_take_a_train_apart() {
    let (near, far) = pair();
    far.set_gro(true).unwrap();
    near.send_batch(&["one", "two", "six"]).unwrap();
    for text in ["one", "two", "six"] {
        assert_eq!(recv(&far).unwrap(), text);
    }
    near.send_batch(&["one", "two", "six"]).unwrap();
    assert_eq!(recv(&far).unwrap(), "one");
    let mut batch = Batch::new();
    assert_eq!(far.recv_batch(&mut batch).unwrap(), 2);
    assert!(batch.iter().eq([b"two", b"six"]));
}

#[test]
fn forged_datagrams_of_a_train_leave_the_others() {
    let (socket, mut wire) = socket_and_wire();
    socket.set_gro(true).unwrap();
    let (first, mut forged, last) = (wire.data("one"), wire.data("two"), wire.data("six"));
    forged[20] ^= 1;
    let train = [&first[..], &forged, &last].concat();
    underseal_sys::udp::send_train(&wire.socket, &train, first.len() as u16).unwrap();
    let mut batch = Batch::new();
    assert_eq!(socket.recv_batch(&mut batch).unwrap(), 2);
    assert!(batch.iter().eq([b"one", b"six"]));
    assert_eq!(socket.counters().dropped(Discard::Forged), 1);
}

#[test]
fn a_payload_that_cannot_be_sent_ends_a_batch_and_fails_the_next() {
    let (near, far) = pair();
    let payloads = [vec![1; 10], vec![2; 1 << 15], vec![3; 10]];
    assert_eq!(near.send_batch(&payloads).unwrap(), 1);
    assert!(near.send_batch(&payloads[1..]).is_err());
    assert_eq!(far.recv(&mut [0; 100]).unwrap(), 10);
}
