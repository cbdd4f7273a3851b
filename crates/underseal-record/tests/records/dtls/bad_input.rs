//! Everything that can be wrong with a datagram: dropped with its reason, and without a trace.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::dtls::{Discard, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ContentType};

use super::forge::Record;
use super::{keys, open, opener, seal, sealer};

#[test]
fn each_fault_has_its_reason() {
    for algorithm in Algorithm::ALL {
        let mut opener = opener(algorithm);
        let good = seal(&mut Sealer::new(keys(algorithm, 5)), b"hello");
        let changed = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            changed
        };
        let long = [
            &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0x48, 1][..],
            &[0; 0x4801],
        ]
        .concat();
        let short = [
            &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 15][..],
            &[0; 15],
        ]
        .concat();
        for (datagram, reason) in [
            (good[..good.len() - 1].to_vec(), Discard::Truncated),
            (good[..12].to_vec(), Discard::Truncated),
            (vec![], Discard::Truncated),
            (short, Discard::TooShort),
            (long, Discard::Oversized),
            (changed(1, 3), Discard::Header),
            (changed(4, 0), Discard::Epoch),
            (changed(4, 2), Discard::Epoch),
            (changed(0, 25), Discard::ConnectionId),
            (changed(0, 22), Discard::Forged),
            (changed(10, 6), Discard::Forged),
            (changed(20, !good[20]), Discard::Forged),
            (
                changed(good.len() - 1, !good[good.len() - 1]),
                Discard::Forged,
            ),
        ] {
            assert_eq!(
                open(&mut opener, &datagram),
                Err(reason),
                "{algorithm}: {datagram:?}"
            );
        }
        let ccs = Record {
            outer: 20,
            ..Record::data(algorithm, 7)
        }
        .seal(b"\x01");
        assert_eq!(open(&mut opener, &ccs), Err(Discard::Malformed));
        let empty = Record {
            outer: 21,
            ..Record::data(algorithm, 8)
        }
        .seal(b"");
        assert_eq!(open(&mut opener, &empty), Err(Discard::Malformed));
        // None of it was in the way of the true one.
        assert_eq!(open(&mut opener, &good).unwrap().1, b"hello");
        assert_eq!(open(&mut opener, &good), Err(Discard::Replayed));
    }
}

#[test]
fn a_record_beyond_the_window_is_too_old_and_one_inside_is_not() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
    let size = ReplayWindow::<33>::SIZE as usize;
    let records: Vec<_> = (0..=size).map(|_| seal(&mut sealer, b"x")).collect();
    assert!(open(&mut opener, &records[size]).is_ok());
    assert_eq!(open(&mut opener, &records[0]), Err(Discard::TooOld));
    assert!(open(&mut opener, &records[1]).is_ok());
    assert_eq!(open(&mut opener, &records[1]), Err(Discard::Replayed));
}

#[test]
fn a_forged_number_does_not_move_the_window() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
    let good = seal(&mut sealer, b"x");
    let mut far = good.clone();
    far[5..11].fill(0xff);
    assert_eq!(open(&mut opener, &far), Err(Discard::Forged));
    assert!(open(&mut opener, &good).is_ok());
}

#[test]
fn what_is_behind_a_dropped_record_is_still_opened() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
    let mut plaintext = seal(&mut sealer, b"x");
    plaintext[4] = 0;
    let mut datagram = [plaintext, seal(&mut sealer, b"y")].concat();
    let first = opener.open(&mut datagram);
    assert_eq!(first.opened, Err(Discard::Epoch));
    let second = opener.open(&mut datagram[first.len..]);
    assert_eq!(
        second.opened.unwrap().content_type,
        ContentType::APPLICATION_DATA
    );
}

proptest! {
    #[test]
    fn a_changed_record_is_never_opened(
        algorithm in 0..3usize, text in vec(any::<u8>(), 0..100), at in any::<usize>(), xor in 1..=255u8,
    ) {
        let algorithm = Algorithm::ALL[algorithm];
        let mut record = seal(&mut sealer(algorithm), &text);
        let at = at % record.len();
        record[at] ^= xor;
        prop_assert!(open(&mut opener(algorithm), &record).is_err());
    }
}
