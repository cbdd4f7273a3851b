//! What a stream counts, and what only one engine can be told.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use underseal::record::Padding;
use underseal::{Counters, Direction, Engine, Error, KeyUpdateRequest};
use underseal_sys::probe::KernelTls;
use underseal_testkit::record_peer::{APPLICATION_DATA, HANDSHAKE, key_update};

use crate::case::Case;
use crate::connect::pattern;
use crate::files::file_of;

pub(crate) fn bytes_and_key_updates_are_counted(case: Case) {
    let (mut stream, mut peer) = case.server();
    assert_eq!(stream.counters(), Counters::default());
    let updates = case.can_update_keys(&Direction::ALL);
    if updates {
        peer.send(HANDSHAKE, &key_update(0));
        peer.update_tx();
    }
    peer.send(APPLICATION_DATA, &pattern(10_000));
    let mut received = vec![0; 10_000];
    stream.read_exact(&mut received).unwrap();
    stream.write_all(b"head").unwrap();
    for _ in 0..2 {
        if updates {
            stream.key_update(KeyUpdateRequest::NotRequested).unwrap();
        }
    }
    let sent = stream.send_file(&file_of(&pattern(9_000)), 1..5_001);
    assert_eq!(sent.unwrap(), 5_000);
    stream.write_more(b"tail").unwrap();
    stream.flush().unwrap();
    let expected = Counters {
        tx_bytes: 5_008,
        rx_bytes: 10_000,
        tx_key_updates: 2 * u32::from(updates),
        rx_key_updates: u32::from(updates),
    };
    assert_eq!(stream.counters(), expected);
}

/// Each engine takes its own options and refuses the other's; the stream goes on.
/// Whether the error says that, and what, the kernel said.
fn kernel_refused(error: &std::io::Error) -> bool {
    matches!(
        Error::of(error),
        Some(Error::Unsupported { errno: Some(_), .. })
    )
}

pub(crate) fn options_of_one_engine_are_refused_by_the_other(case: Case) {
    let (mut stream, mut peer) = case.server();
    let kernel = |engine| engine == Engine::Kernel;
    let zerocopy = stream.set_zerocopy_send_file(true);
    match (
        kernel(case.engines.tx),
        KernelTls::get().zerocopy_ro.is_yes(),
    ) {
        (true, true) => zerocopy.unwrap(),
        (true, false) => assert!(kernel_refused(&zerocopy.unwrap_err())),
        (false, _) => assert_eq!(zerocopy.unwrap_err().kind(), ErrorKind::Unsupported),
    }
    let no_padding = stream.set_expect_no_padding(true);
    match (kernel(case.engines.rx), case.suite.is_tls13()) {
        (true, true) => no_padding.unwrap(),
        (true, false) => assert!(kernel_refused(&no_padding.unwrap_err())),
        (false, _) => assert_eq!(no_padding.unwrap_err().kind(), ErrorKind::Unsupported),
    }
    let padding = stream.set_padding(Padding::Multiple(256));
    assert_eq!(padding.is_err(), kernel(case.engines.tx));
    // A peer that pads all the same costs time, nothing else.
    if case.suite.is_tls13() {
        let padded = peer.record_of(b"padded\x17\0\0\0\0\0");
        peer.send_bytes(&padded);
    } else {
        peer.send(APPLICATION_DATA, b"padded");
    }
    let peer = thread::spawn(move || peer.receive_data());
    let mut received = [0; 6];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"padded");
    let file = file_of(&pattern(70_000));
    assert_eq!(stream.send_file(&file, 3..70_000).unwrap(), 69_997);
    stream.shutdown().unwrap();
    assert!(peer.join().unwrap() == (pattern(70_000)[3..].to_vec(), true));
}
