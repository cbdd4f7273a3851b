//! What BoringSSL's own tests send to a record layer of DTLS, where no test beside this says it: each test
//! names the case of BoGo's that it has from there.

use underseal_record::dtls::{Discard, EpochSecret, Handled, KeyUpdates, Opener, RecordNumber};
use underseal_record::dtls::{ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType, Error, MAX_PLAINTEXT, ProtocolVersion};

use super::forge::Record;
use super::forge13::{Record13, secret};
use super::{open, opener};

const ALGORITHM: Algorithm = Algorithm::Aes128Gcm;
const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::Tls12, ProtocolVersion::Tls13];

/// An authentic record of a type, and what opens it.
fn record(version: ProtocolVersion, seq: u64, content_type: u8, plaintext: &[u8]) -> Vec<u8> {
    match version {
        ProtocolVersion::Tls12 => Record {
            outer: content_type,
            ..Record::data(ALGORITHM, seq)
        }
        .seal(plaintext),
        ProtocolVersion::Tls13 => {
            Record13::data(ALGORITHM, 3, seq).seal(&[plaintext, &[content_type]].concat())
        }
    }
}

fn opener_of(version: ProtocolVersion) -> Opener {
    match version {
        ProtocolVersion::Tls12 => opener(ALGORITHM),
        ProtocolVersion::Tls13 => Opener::new(secret(ALGORITHM, 3).keys(), ReplayWindow::default()),
    }
}

/// DTLS-Replay-LargeGaps.
#[test]
fn between_gaps_longer_than_the_window_nothing_is_opened_twice() {
    for version in VERSIONS {
        let mut opener = opener_of(version);
        let mut before = Vec::new();
        // The rest of a number on the wire tells gaps of less than 2^15 apart.
        for turn in 0..10 {
            let last = record(version, turn * 32_000, 23, b"x");
            assert!(open(&mut opener, &last).is_ok(), "{version} {turn}");
            assert_eq!(open(&mut opener, &last), Err(Discard::Replayed));
            before.push(last);
            for old in &before {
                assert!(open(&mut opener, old).is_err(), "{version} {turn}");
            }
        }
    }
}

/// DTLS-Replay-NonMonotonic, with the order that BoGo has.
#[test]
fn numbers_that_go_up_and_down_are_each_opened_once() {
    for version in VERSIONS {
        let mut opener = opener_of(version);
        let order = (0..100).map(|index| if index % 2 == 0 { index + 1 } else { index - 1 });
        for seq in order.chain([300, 200, 250, 299, 101]) {
            let record = record(version, seq, 23, b"x");
            assert!(open(&mut opener, &record).is_ok(), "{version} {seq}");
            assert_eq!(open(&mut opener, &record), Err(Discard::Replayed));
        }
    }
}

/// DTLS13RecordHeader-OldHeader.
#[test]
fn a_header_of_dtls_1_2_opens_nothing_under_keys_of_dtls_1_3() {
    let mut opener = opener_of(ProtocolVersion::Tls13);
    for epoch in [0, 1, 2, 3] {
        let old = Record {
            epoch,
            ..Record::data(ALGORITHM, 0)
        };
        let outcome = open(&mut opener, &old.seal(b"hello"));
        assert_eq!(outcome, Err(Discard::Epoch), "{epoch}");
    }
    let good = record(ProtocolVersion::Tls13, 0, 23, b"hello");
    assert!(open(&mut opener, &good).is_ok());
}

/// LargePlaintext and LargeCiphertext.
#[test]
fn a_plaintext_of_16_kib_is_opened_and_none_that_is_longer() {
    for version in VERSIONS {
        let mut opener = opener_of(version);
        let most = vec![7; MAX_PLAINTEXT];
        let (_, plaintext) = open(&mut opener, &record(version, 0, 23, &most)).unwrap();
        assert_eq!(plaintext, most);
        let more = [&most[..], b"x"].concat();
        let outcome = open(&mut opener, &record(version, 1, 23, &more));
        assert_eq!(outcome, Err(Discard::Malformed), "{version}");
        let much = vec![7; MAX_PLAINTEXT + 2048];
        let outcome = open(&mut opener, &record(version, 2, 23, &much));
        assert_eq!(outcome, Err(Discard::Oversized), "{version}");
    }
}

/// SendEmptyRecords: TLS bounds how many come in a row, DTLS has no stream that they would hold up.
#[test]
fn empty_records_of_data_are_opened_however_many_come() {
    for version in VERSIONS {
        let mut opener = opener_of(version);
        for seq in 0..100 {
            let (opened, plaintext) = open(&mut opener, &record(version, seq, 23, b"")).unwrap();
            assert_eq!(opened.content_type, ContentType::APPLICATION_DATA);
            assert!(plaintext.is_empty());
        }
        let alert = record(version, 100, 21, b"");
        assert_eq!(open(&mut opener, &alert), Err(Discard::Malformed));
    }
}

/// KeyUpdate-MaxReadEpoch-DTLS and KeyUpdate-ReadEpochOverflow-DTLS.
#[test]
fn the_last_epoch_is_read_and_none_is_made_behind_it() {
    let of = |epoch| EpochSecret::new(ALGORITHM, &[5; 32], epoch).unwrap();
    let (last, before) = (u16::MAX, u16::MAX - 1);
    let mut opener = Opener::new(of(before).keys(), ReplayWindow::default());
    let mut updates = KeyUpdates::new(of(before), of(before), 0, 0);
    let update = |seq| [24, 0, 0, 1, 0, seq, 0, 0, 0, 0, 0, 1, 0];
    let (seq, mut next) = (0, of(before));
    let epoch = before;
    let taken = updates.received(&update(0), RecordNumber { epoch, seq }, &mut opener);
    assert!(matches!(taken, Ok(Handled::Updated { .. })), "{taken:?}");
    next.update().unwrap();
    let mut sealer = Sealer::new(next.keys());
    let under_last = super::seal(&mut sealer, b"last");
    assert_eq!(open(&mut opener, &under_last).unwrap().1, b"last");
    let epoch = last;
    let taken = updates.received(&update(1), RecordNumber { epoch, seq }, &mut opener);
    assert_eq!(taken, Err(Error::ConfidentialityLimit));
    assert_eq!(opener.epoch(), last);
    let under_last = super::seal(&mut sealer, b"still");
    assert_eq!(open(&mut opener, &under_last).unwrap().1, b"still");
}
