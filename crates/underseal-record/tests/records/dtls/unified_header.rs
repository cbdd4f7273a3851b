//! The header of DTLS 1.3 in all its forms, and what can be wrong with it.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::dtls::{ConnectionId, Discard, Opener, RecordNumber, ReplayWindow, Sealer};
use underseal_record::{Algorithm, Backend, ContentType, MAX_PLAINTEXT};

use super::forge13::{Record13, secret};
use super::{open, seal};

fn opener(algorithm: Algorithm, epoch: u16) -> Opener {
    Opener::new(secret(algorithm, epoch).keys(), ReplayWindow::default())
}

/// Both lengths of the number, with and without connection ID and length.
fn forms() -> impl Iterator<Item = (bool, bool, bool)> {
    (0..8).map(|form| (form & 1 == 0, form & 2 == 0, form & 4 == 0))
}

#[test]
fn a_record_is_sealed_as_the_rfc_says() {
    for algorithm in Algorithm::ALL {
        for backend in Backend::ALL {
            for (epoch, id) in [(3, &b""[..]), (4, b""), (5, b"connection"), (6, b"x")] {
                let mut sealer = Sealer::with_backend(secret(algorithm, epoch).keys(), backend);
                sealer.set_connection_id(ConnectionId::new(id).unwrap());
                for seq in 0..3 {
                    let expected = Record13 {
                        connection_id: id.to_vec(),
                        ..Record13::data(algorithm, epoch, seq)
                    };
                    assert_eq!(seal(&mut sealer, b"hello"), expected.seal(b"hello\x17"));
                }
            }
        }
    }
}

#[test]
fn every_form_of_the_header_is_opened() {
    for algorithm in Algorithm::ALL {
        for epoch in 3..8 {
            let mut opener = opener(algorithm, epoch);
            opener.set_connection_id(ConnectionId::new(b"here").unwrap());
            for (seq, (long_seq, has_length, has_id)) in (0..).zip(forms()) {
                let record = Record13 {
                    connection_id: if has_id { b"here".to_vec() } else { vec![] },
                    long_seq,
                    has_length,
                    ..Record13::data(algorithm, epoch, seq)
                };
                let padded = record.seal(b"hello\x1a\0\0\0");
                let (opened, plaintext) = open(&mut opener, &padded).unwrap();
                assert_eq!(opened.number, RecordNumber { epoch, seq });
                assert_eq!(opened.content_type, ContentType::ACK);
                assert_eq!(plaintext, b"hello");
                assert_eq!(open(&mut opener, &padded), Err(Discard::Replayed));
            }
        }
    }
}

/// Eight bits tell 256 numbers apart, half of them on either side of the next one; sixteen more than
/// the window is long.
#[test]
fn the_rest_of_a_number_is_the_nearest_to_the_next() {
    let algorithm = Algorithm::Aes128Gcm;
    for (long_seq, back, ahead) in [(false, 127, 128), (true, 2047, 32_768)] {
        // The last number opened before.
        for last in [2100, 30_000, 60_000, 89_999] {
            for seq in [last + 1, last + 1 + ahead, last + 1 - back] {
                let mut opener = opener(algorithm, 3);
                for step in (0..last).step_by(30_000).skip(1).chain([last]) {
                    let record = Record13::data(algorithm, 3, step).seal(b"\x17");
                    assert!(open(&mut opener, &record).is_ok(), "{step}");
                }
                let record = Record13 {
                    long_seq,
                    ..Record13::data(algorithm, 3, seq)
                };
                let (opened, _) = open(&mut opener, &record.seal(b"x\x17")).unwrap();
                assert_eq!(opened.number.seq, seq);
            }
        }
    }
}

#[test]
fn a_record_without_length_takes_the_rest_of_its_datagram() {
    let algorithm = Algorithm::Aes256Gcm;
    let mut opener = opener(algorithm, 3);
    let first = Record13::data(algorithm, 3, 0).seal(b"one\x17");
    let last = Record13 {
        has_length: false,
        ..Record13::data(algorithm, 3, 1)
    };
    let mut datagram = [first.clone(), last.seal(b"two\x17")].concat();
    let taken = opener.open(&mut datagram);
    assert_eq!(taken.len, first.len());
    assert!(taken.opened.is_ok());
    let rest = &mut datagram[first.len()..];
    let taken = opener.open(rest);
    assert_eq!(taken.len, rest.len());
    assert_eq!(&rest[taken.opened.unwrap().plaintext], b"two");
}

#[test]
fn each_fault_has_its_reason() {
    for algorithm in Algorithm::ALL {
        let mut opener = opener(algorithm, 3);
        let good = Record13::data(algorithm, 3, 5).seal(b"hello\x17");
        let changed = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            changed
        };
        let sealed = |seq, inner: &[u8]| Record13::data(algorithm, 3, seq).seal(inner);
        let first = good[0];
        for (datagram, reason) in [
            (vec![], Discard::Truncated),
            (good[..1].to_vec(), Discard::Truncated),
            (good[..4].to_vec(), Discard::Truncated),
            (good[..good.len() - 1].to_vec(), Discard::Truncated),
            (changed(3, 0x50), Discard::Oversized),
            (vec![first, 0, 0, 0, 0], Discard::TooShort),
            (
                [&[first, 0, 0, 0, 16][..], &[7; 16]].concat(),
                Discard::TooShort,
            ),
            (changed(0, 0x80), Discard::Header),
            (changed(0, 0x40 | first), Discard::Header),
            (changed(0, first ^ 1), Discard::Epoch),
            (changed(0, first | 0x10), Discard::ConnectionId),
            (changed(0, first & !0x04), Discard::Forged),
            (changed(7, !good[7]), Discard::Forged),
            (sealed(6, &[0; 20]), Discard::Malformed),
            (sealed(7, b"x\x14"), Discard::Malformed),
            (sealed(8, b"\x16"), Discard::Malformed),
            (sealed(9, &[1; MAX_PLAINTEXT + 2]), Discard::Malformed),
        ] {
            assert_eq!(
                open(&mut opener, &datagram),
                Err(reason),
                "{algorithm}: {:?}",
                &datagram[..datagram.len().min(30)]
            );
        }
        assert_eq!(open(&mut opener, &good).unwrap().1, b"hello");
        assert_eq!(open(&mut opener, &good), Err(Discard::Replayed));
        opener.set_connection_id(ConnectionId::new(b"here").unwrap());
        let other = Record13 {
            connection_id: b"thre".to_vec(),
            ..Record13::data(algorithm, 3, 12)
        };
        assert_eq!(
            open(&mut opener, &other.seal(b"x\x17")),
            Err(Discard::ConnectionId)
        );
    }
}

/// RFC 8446 section 5.4: padding counts.
#[test]
fn a_plaintext_is_no_longer_with_its_padding_than_without() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut opener = opener(algorithm, 3);
    for (seq, padding) in [0, 1, 200].into_iter().enumerate() {
        let inner = [&vec![1; MAX_PLAINTEXT][..], b"\x17", &vec![0; padding]].concat();
        let record = Record13::data(algorithm, 3, seq as u64).seal(&inner);
        match open(&mut opener, &record) {
            Ok((_, plaintext)) => assert_eq!((plaintext.len(), padding), (MAX_PLAINTEXT, 0)),
            Err(reason) => assert_eq!((reason, padding > 0), (Discard::Malformed, true)),
        }
    }
    let inner = [&vec![1; 10][..], b"\x17", &vec![0; MAX_PLAINTEXT - 10]].concat();
    let padded = Record13::data(algorithm, 3, 9).seal(&inner);
    assert_eq!(open(&mut opener, &padded).unwrap().1.len(), 10);
}

/// Its number is encrypted, so that nobody may learn by a clock whether it was used.
#[test]
fn a_forged_record_of_a_used_or_old_number_is_tried_as_any_other() {
    for algorithm in Algorithm::ALL {
        let mut opener = opener(algorithm, 3);
        let used = Record13::data(algorithm, 3, 5000).seal(b"hello\x17");
        let old = Record13::data(algorithm, 3, 0).seal(b"hello\x17");
        assert!(open(&mut opener, &used).is_ok());
        for (record, authentic) in [(used, Discard::Replayed), (old, Discard::TooOld)] {
            let mut forged = record.clone();
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(open(&mut opener, &forged), Err(Discard::Forged));
            assert_eq!(open(&mut opener, &record), Err(authentic));
        }
    }
}

/// An alert, an ACK or a handshake message that nobody sealed.
#[test]
fn a_record_in_the_clear_is_passed_over_and_the_next_one_opened() {
    let algorithm = Algorithm::Aes128Gcm;
    let mut opener = opener(algorithm, 3);
    for content_type in [21, 22, 26] {
        let clear = [
            content_type,
            0xfe,
            0xfd,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            9,
            0,
            2,
            2,
            80,
        ];
        let seq = u64::from(content_type);
        let good = Record13::data(algorithm, 3, seq).seal(b"x\x17");
        let mut datagram = [&clear[..], &good].concat();
        let taken = opener.open(&mut datagram);
        assert_eq!(
            (taken.len, taken.opened),
            (clear.len(), Err(Discard::Epoch))
        );
        assert!(opener.open(&mut datagram[clear.len()..]).opened.is_ok());
    }
}

proptest! {
    #[test]
    fn a_changed_record_is_never_opened(
        algorithm in 0..3usize, text in vec(any::<u8>(), 0..100), at in any::<usize>(), xor in 1..=255u8,
    ) {
        let algorithm = Algorithm::ALL[algorithm];
        let mut record = seal(&mut Sealer::new(secret(algorithm, 3).keys()), &text);
        let at = at % record.len();
        record[at] ^= xor;
        prop_assert!(open(&mut opener(algorithm, 3), &record).is_err());
    }

    /// In whatever order records of two epochs come and however often, each is opened once.
    #[test]
    fn each_record_of_two_epochs_is_opened_once(order in vec(0..40usize, 0..200)) {
        let algorithm = Algorithm::ChaCha20Poly1305;
        let mut sealer = Sealer::new(secret(algorithm, 3).keys());
        let mut records: Vec<_> = (0..20u8).map(|number| seal(&mut sealer, &[number])).collect();
        sealer.advance(secret(algorithm, 4).keys()).unwrap();
        records.extend((20..40u8).map(|number| seal(&mut sealer, &[number])));
        let mut opener = opener(algorithm, 3);
        opener.advance(secret(algorithm, 4).keys()).unwrap();
        let mut seen = [false; 40];
        for which in order {
            let opened = open(&mut opener, &records[which]);
            prop_assert_eq!(opened.is_ok(), !seen[which]);
            seen[which] = true;
        }
    }
}
