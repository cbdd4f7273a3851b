//! Records of other types than application data, between it.

use std::io::{Read, Write};
use std::thread;

use underseal::Error;
use underseal::record::{AlertDescription, ContentType};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::pattern;

pub(crate) fn records_of_other_types_are_sent_between_data(case: Case) {
    let (mut stream, mut peer) = case.server();
    let long = pattern(40_000);
    let peer = thread::spawn(move || {
        let records = std::iter::from_fn(|| peer.receive());
        // Tickets come before everything else.
        let mut records: Vec<_> = records.filter(|record| record.0 != 22).collect();
        assert_eq!(records.pop(), Some((ALERT, vec![1, 0])));
        records
    });
    stream.write_all(b"before").unwrap();
    stream
        .send_record(ContentType(24), &b"heartbeat"[..])
        .unwrap();
    stream.send_record(ContentType(24), &b"again"[..]).unwrap();
    stream.write_all(b"between").unwrap();
    stream.send_record(ContentType(200), &long[..]).unwrap();
    stream.write_all(b"after").unwrap();
    stream.shutdown().unwrap();
    drop(stream);
    let expected = [
        (APPLICATION_DATA, b"before".to_vec()),
        (24, b"heartbeat".to_vec()),
        (24, b"again".to_vec()),
        (APPLICATION_DATA, b"between".to_vec()),
        (200, long[..16_384].to_vec()),
        (200, long[16_384..32_768].to_vec()),
        (200, long[32_768..].to_vec()),
        (APPLICATION_DATA, b"after".to_vec()),
    ];
    assert!(peer.join().unwrap() == expected);
}

pub(crate) fn records_of_other_types_are_received_in_order(case: Case) {
    let (mut stream, mut peer) = case.server();
    let long = pattern(16_384);
    let records = [
        (APPLICATION_DATA, &b"first"[..]),
        (24, b"second"),
        (24, b"third"),
        (200, &long),
        (APPLICATION_DATA, b"fourth"),
    ];
    for (content_type, payload) in records {
        peer.send(content_type, payload);
    }
    peer.send(ALERT, &[1, 0]);
    let mut buffer = vec![0; 20_000];
    let mut received = Vec::new();
    while let Some((content_type, n)) = stream.read_record(&mut buffer).unwrap() {
        received.push((content_type.0, buffer[..n].to_vec()));
    }
    let expected = records.map(|(content_type, payload)| (content_type, payload.to_vec()));
    assert!(received == expected);
    assert!(
        stream.read_record(&mut buffer).unwrap().is_none(),
        "the end stays"
    );
}

/// Data is never delivered across a change of type.
pub(crate) fn reading_stops_at_a_record_of_another_type(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(24, b"one");
    let mut buffer = [0; 100];
    let first = stream.read_record(&mut buffer).unwrap();
    assert_eq!(first, Some((ContentType(24), 3)));

    peer.send(APPLICATION_DATA, b"before");
    peer.send(24, b"between");
    peer.send(APPLICATION_DATA, b"after");
    stream.read_exact(&mut buffer[..6]).unwrap();
    assert_eq!(&buffer[..6], b"before");
    for _ in 0..2 {
        let error = stream.read(&mut buffer).unwrap_err();
        let Some(Error::RecordPending(content_type)) = Error::of(&error) else {
            panic!("{error}");
        };
        assert_eq!(content_type, ContentType(24));
    }
    // Read in pieces: the rest of a record is kept, with its type.
    let mut between: Vec<u8> = Vec::new();
    while between.len() < 7 {
        let (content_type, n) = stream.read_record(&mut buffer[..3]).unwrap().unwrap();
        assert_eq!(content_type, ContentType(24));
        between.extend(&buffer[..n]);
    }
    assert_eq!(between, b"between");
    stream.read_exact(&mut buffer[..5]).unwrap();
    assert_eq!(&buffer[..5], b"after");
}

/// An application that never called `read_record` is none of those that such records are for.
pub(crate) fn a_record_that_nobody_asked_for_ends_the_connection(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"data");
    peer.send(99, b"what is this?");
    let mut buffer = [0; 100];
    stream.read_exact(&mut buffer[..4]).unwrap();
    for _ in 0..2 {
        let error = stream.read(&mut buffer).unwrap_err();
        let error = Error::of(&error).unwrap();
        assert_eq!(error.alert(), Some(AlertDescription::UNEXPECTED_MESSAGE));
    }
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

pub(crate) fn a_record_that_may_not_be_sent_is_refused(case: Case) {
    let (mut stream, mut peer) = case.server();
    let change_cipher_spec = ContentType::CHANGE_CIPHER_SPEC;
    let error = stream
        .send_record(change_cipher_spec, &[1][..])
        .unwrap_err();
    assert!(
        matches!(Error::of(&error), Some(Error::Record(_))),
        "{error}"
    );
    stream.write_all(b"unharmed").unwrap();
    stream.shutdown().unwrap();
    assert_eq!(peer.receive_data(), (b"unharmed".to_vec(), true));
}
