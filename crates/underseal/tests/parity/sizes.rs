//! Every size around a record boundary.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use underseal::blocking::TlsAcceptor;
use underseal::record::MAX_PLAINTEXT;
use underseal::{Direction, Engine, Errno, Error, Refusal};
use underseal_sys::probe::KernelTls;
use underseal_testkit::RecordPeer;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{pattern, sockets};
use crate::files::file_of;
use crate::writing::receive_records;

/// As the configuration says, which a kernel must have an option for.
pub(crate) fn records_are_as_short_as_the_configuration_has_them(case: Case) {
    let mut config = (*case.configs().server).clone();
    config.max_fragment_size = Some(1_005);
    let (ours, theirs) = sockets();
    let client = (*case.configs().client).clone();
    let peer = thread::spawn(move || RecordPeer::client(theirs, client));
    let acceptor = TlsAcceptor::from(Arc::new(config)).offload(case.offloads());
    let stream = acceptor.accept(ours);
    let mut peer = peer.join().unwrap();
    let refused = KernelTls::get().max_payload_len.errno();
    let refused = refused.filter(|_| case.engines.tx == Engine::Kernel);
    if let Some(errno) = refused {
        let refusal = Refusal::MaxPayload(Errno::from_raw_os_error(errno.raw_os_error()));
        let expected = Error::Offload {
            direction: Direction::Tx,
            refusal,
        };
        assert_eq!(stream.unwrap_err().to_string(), expected.to_string());
        return case.unsupported(refusal);
    }
    let mut stream = stream.unwrap();
    assert_eq!(stream.engines(), case.engines);
    let data = pattern(10_500);
    stream.write_all(&data).unwrap();
    let sent = stream.send_file(&file_of(&data), 0..3_000);
    assert_eq!(sent.unwrap(), 3_000);
    stream.shutdown().unwrap();
    let records = receive_records(&mut peer);
    assert!(records.iter().all(|record| record.len() <= 1_000));
    assert_eq!(records.len(), 14, "and no shorter");
    assert!(records.concat() == [&data[..], &data[..3_000]].concat());
}

const SIZES: [usize; 19] = [
    1, 2, 15, 16, 17, 255, 256, 1_400, 4_095, 4_096, 16_367, 16_383, 16_384, 16_385, 32_767,
    32_768, 32_769, 65_536, 65_537,
];

/// The records that `len` bytes written at once are cut into: full ones, and the rest.
fn records(len: usize) -> Vec<usize> {
    let mut records = vec![MAX_PLAINTEXT; len / MAX_PLAINTEXT];
    records.extend(Some(len % MAX_PLAINTEXT).filter(|rest| *rest > 0));
    records
}

pub(crate) fn every_size_around_a_record_boundary_is_sent(case: Case) {
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || {
        let mut received = Vec::new();
        loop {
            match peer.receive().unwrap() {
                (APPLICATION_DATA, payload) => received.push(payload),
                (ALERT, alert) => break assert_eq!(alert, [1, 0]),
                _ => {}
            }
        }
        received
    });
    for size in SIZES {
        stream.write_all(&pattern(size)).unwrap();
    }
    stream.shutdown().unwrap();
    let received = peer.join().unwrap();
    let lens: Vec<_> = received.iter().map(Vec::len).collect();
    assert_eq!(lens, SIZES.map(records).concat());
    assert!(received.concat() == SIZES.map(pattern).concat());
}

pub(crate) fn every_size_around_a_record_boundary_is_received(case: Case) {
    let (mut stream, mut peer) = case.server();
    let peer = thread::spawn(move || {
        for size in SIZES {
            for chunk in pattern(size).chunks(MAX_PLAINTEXT) {
                peer.send(APPLICATION_DATA, chunk);
            }
        }
        peer
    });
    for size in SIZES {
        let mut received = vec![0; size];
        stream.read_exact(&mut received).unwrap();
        assert!(received == pattern(size), "{size} bytes");
    }
    let mut peer = peer.join().unwrap();
    peer.send(ALERT, &[1, 0]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing is left over");
}
