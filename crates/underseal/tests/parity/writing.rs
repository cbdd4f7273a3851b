//! Ways to write.

use std::io::{IoSlice, Write};
use std::thread;

use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{Peer, pattern};

/// The data of each record that comes, up to close_notify.
pub(crate) fn receive_records(peer: &mut Peer) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    loop {
        match peer.receive().expect("close_notify comes before the end") {
            (APPLICATION_DATA, payload) => records.push(payload),
            (ALERT, alert) => {
                assert_eq!(alert, [1, 0]);
                return records;
            }
            _ => {}
        }
    }
}

/// Writes all of `slices` with vectored writes alone.
fn write_all_vectored(stream: &mut impl Write, slices: &[Vec<u8>]) {
    let mut slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut slices = &mut slices[..];
    while slices.iter().any(|slice| !slice.is_empty()) {
        let n = stream.write_vectored(slices).unwrap();
        assert_ne!(n, 0, "a write of something takes something");
        IoSlice::advance_slices(&mut slices, n);
    }
}

/// None, empty ones, long ones, and more of them than one system call looks at.
pub(crate) fn slices_are_sent_in_order(case: Case) {
    let (mut stream, mut peer) = case.server();
    let lists = [
        vec![],
        vec![vec![]; 3],
        vec![
            vec![],
            b"one".to_vec(),
            vec![],
            vec![],
            b"two".to_vec(),
            vec![],
        ],
        (0..40).map(|len| pattern(len * len)).collect(),
        (0..1_100).map(|n| vec![n as u8; 3]).collect(),
        vec![
            pattern(16_384),
            pattern(1),
            pattern(40_000),
            vec![],
            pattern(16_383),
        ],
    ];
    let expected = lists.concat().concat();
    let peer = thread::spawn(move || peer.receive_data());
    for slices in &lists {
        write_all_vectored(&mut stream, slices);
    }
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (expected, true));
}

/// What a writer gathered must not cost a record for each slice.
pub(crate) fn slices_of_one_write_share_a_record(case: Case) {
    let (mut stream, mut peer) = case.server();
    let slices = vec![vec![7; 100]; 16];
    write_all_vectored(&mut stream, &slices);
    stream.shutdown().unwrap();
    assert_eq!(receive_records(&mut peer), [slices.concat()]);
}

/// Neither a record nor an error.
pub(crate) fn an_empty_write_sends_nothing(case: Case) {
    let (mut stream, mut peer) = case.server();
    assert_eq!(stream.write(b"").unwrap(), 0);
    stream.write_all(b"x").unwrap();
    assert_eq!(stream.write_vectored(&[]).unwrap(), 0);
    stream.flush().unwrap();
    stream.shutdown().unwrap();
    assert_eq!(receive_records(&mut peer), [b"x"]);
}
