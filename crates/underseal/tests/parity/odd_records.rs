//! Records that are legal and that few peers send.

use std::io::Read;

use underseal::Engine;
use underseal::record::{AlertDescription, ContentType, Opener};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::bad_records::is_refused;
use crate::case::Case;
use crate::connect::pattern;
use crate::endings::{CLOSE_NOTIFY, read_to_end};

pub(crate) fn empty_records_are_skipped(case: Case) {
    let (mut stream, mut peer) = case.server();
    for _ in 0..2 {
        for _ in 0..Opener::MAX_EMPTY_RECORDS {
            peer.send(APPLICATION_DATA, b"");
        }
        peer.send(APPLICATION_DATA, b"x");
    }
    peer.send(APPLICATION_DATA, b"");
    peer.send(ALERT, &CLOSE_NOTIFY);
    let (data, end) = read_to_end(&mut stream);
    end.unwrap();
    assert_eq!(data, b"xx");
}

pub(crate) fn the_longest_record_is_received(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(16_384);
    peer.send(APPLICATION_DATA, &data);
    peer.send(24, &data);
    let mut received = vec![0; 16_385];
    stream.read_exact(&mut received[..16_384]).unwrap();
    assert!(received[..16_384] == data);
    let record = stream.read_record(&mut received).unwrap();
    assert_eq!(record, Some((ContentType(24), 16_384)));
    assert!(received[..16_384] == data);
}

/// Of data, of other types and of alerts; the longest that a record may be, and around nothing.
pub(crate) fn padded_records_are_received_without_their_padding(case: Case) {
    let (mut stream, mut peer) = case.server();
    let inner = |payload: &[u8], content_type: u8, padding: usize| {
        [payload, &[content_type], &vec![0; padding]].concat()
    };
    let records = [
        inner(b"one", APPLICATION_DATA, 1),
        inner(b"two", APPLICATION_DATA, 16_381),
        inner(b"", APPLICATION_DATA, 300),
        inner(b"zeros\0\0\0", APPLICATION_DATA, 5),
        inner(b"beat", 24, 100),
        inner(&CLOSE_NOTIFY, ALERT, 1_000),
    ];
    let bytes: Vec<u8> = records
        .iter()
        .flat_map(|record| peer.record_of(record))
        .collect();
    peer.send_bytes(&bytes);
    let mut data = [0; 14];
    stream.read_exact(&mut data).unwrap();
    assert_eq!(&data, b"onetwozeros\0\0\0");
    let record = stream.read_record(&mut data).unwrap();
    assert_eq!(
        (record, &data[..4]),
        (Some((ContentType(24), 4)), &b"beat"[..])
    );
    assert_eq!(stream.read(&mut data).unwrap(), 0);
}

/// To a kernel it is a record that does not authenticate (EBADMSG), and that is what the peer is
/// told.
pub(crate) fn a_record_of_padding_alone_is_refused(case: Case) {
    let alert = match case.engines.rx == Engine::Kernel {
        false => AlertDescription::UNEXPECTED_MESSAGE,
        true => AlertDescription::BAD_RECORD_MAC,
    };
    is_refused(case, b"before", alert, |peer| peer.record_of(&[0; 100]));
}
