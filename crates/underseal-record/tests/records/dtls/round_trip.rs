use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::dtls::{EpochKeys, MAX_RECORD, Opener, RecordNumber, ReplayWindow, Sealer};
use underseal_record::{Algorithm, ApiMisuse, Backend, ContentType, Error, MAX_PLAINTEXT};

use super::forge::Record;
use super::{keys, open, opener, seal, sealer};

#[test]
fn what_is_sealed_is_opened_by_either_library() {
    for algorithm in Algorithm::ALL {
        for sealing in Backend::ALL {
            for opening in Backend::ALL {
                let mut sealer = Sealer::with_backend(keys(algorithm, 5), sealing);
                let window = ReplayWindow::default();
                let mut opener = Opener::with_backend(keys(algorithm, 0), window, opening);
                for len in [0, 1, 100, 1400, MAX_PLAINTEXT] {
                    let plaintext: Vec<u8> = (0..len).map(|at| at as u8).collect();
                    let number = sealer.next_number();
                    let record = seal(&mut sealer, &plaintext);
                    assert!(record.len() <= MAX_RECORD);
                    let (opened, back) = open(&mut opener, &record).unwrap();
                    assert_eq!((opened.number, back), (number, plaintext));
                    assert_eq!(opened.content_type, ContentType::APPLICATION_DATA);
                }
            }
        }
    }
}

#[test]
fn a_record_has_the_bytes_of_the_rfc() {
    let record = seal(&mut sealer(Algorithm::Aes128Gcm), b"hello");
    let header = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8 + 5 + 16];
    assert_eq!(record[..13], header);
    assert_eq!(record[13..21], [0, 1, 0, 0, 0, 0, 0, 0], "epoch and number");
    // ChaCha20 sends no nonce, and its records have one form only.
    for seq in [0, 1, 0x0102_0304_0506] {
        let mut sealer = Sealer::new(keys(Algorithm::ChaCha20Poly1305, seq));
        let forged = Record::data(Algorithm::ChaCha20Poly1305, seq).seal(b"hello");
        assert_eq!(seal(&mut sealer, b"hello"), forged);
    }
}

#[test]
fn a_record_of_another_implementation_is_opened() {
    for algorithm in Algorithm::ALL {
        for seq in [0, 1, 4096, (1 << 48) - 1] {
            let record = Record::data(algorithm, seq).seal(b"hello");
            let (opened, plaintext) = open(&mut opener(algorithm), &record).unwrap();
            assert_eq!(opened.number, RecordNumber { epoch: 1, seq });
            assert_eq!(plaintext, b"hello");
        }
    }
}

#[test]
fn several_records_of_a_datagram_are_opened_one_after_the_other() {
    let (mut sealer, mut opener) = (sealer(Algorithm::Aes256Gcm), opener(Algorithm::Aes256Gcm));
    let records = [&b"one"[..], b"", b"three"].map(|text| seal(&mut sealer, text));
    let mut datagram = records.concat();
    let mut rest = &mut datagram[..];
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let taken = opener.open(rest);
        texts.push(rest[taken.opened.unwrap().plaintext].to_vec());
        rest = &mut rest[taken.len..];
    }
    assert_eq!(texts, [&b"one"[..], b"", b"three"]);
}

#[test]
fn state_moves_out_and_in_and_no_number_is_used_twice() {
    for algorithm in Algorithm::ALL {
        let (mut sealer, mut opener) = (sealer(algorithm), opener(algorithm));
        let first = seal(&mut sealer, b"first");
        open(&mut opener, &first).unwrap();
        let mut sealer = Sealer::new(sealer.into_keys());
        let (keys, window) = opener.into_parts();
        let mut opener = Opener::new(keys, window);
        let second = seal(&mut sealer, b"second");
        assert_ne!(first[..21], second[..21]);
        assert!(open(&mut opener, &first).is_err(), "it was opened before");
        assert_eq!(open(&mut opener, &second).unwrap().1, b"second");
    }
}

#[test]
fn numbers_are_skipped_forward_only() {
    let mut keys = keys(Algorithm::Aes128Gcm, 10);
    keys.skip_to(5).unwrap();
    assert_eq!(keys.next_number().seq, 10);
    keys.skip_to(20).unwrap();
    assert_eq!(keys.next_number().seq, 20);
    let misuse = Err(Error::ApiMisuse(ApiMisuse::RecordNumber));
    assert_eq!(keys.skip_to(1 << 48), misuse);
    assert!(matches!(EpochKeys::new(keys.into_keys(), 0), Err(error) if Err(error) == misuse));
}

#[test]
fn records_that_may_not_be_sent_are_refused_and_use_no_number() {
    let mut sealer = sealer(Algorithm::Aes128Gcm);
    let mut out = [0; 100];
    for (content_type, plaintext) in [
        (ContentType::CHANGE_CIPHER_SPEC, &b"x"[..]),
        (ContentType(25), b"x"),
        (ContentType(0), b"x"),
        (ContentType::ALERT, b""),
    ] {
        let refused = sealer.seal(content_type, plaintext, &mut out);
        assert_eq!(refused, Err(ApiMisuse::ForbiddenRecord.into()));
    }
    let data = ContentType::APPLICATION_DATA;
    let short = sealer.seal(data, &[0; 64], &mut out);
    let (need, have) = (64 + sealer.overhead(), 100);
    assert_eq!(short, Err(ApiMisuse::OutputTooSmall { need, have }.into()));
    let long = sealer.seal(data, &[0; MAX_PLAINTEXT + 1], &mut [0; MAX_RECORD]);
    assert_eq!(long, Err(ApiMisuse::PlaintextTooLong.into()));
    assert_eq!(sealer.next_number().seq, 0);
    assert_eq!(out, [0; 100]);
}

proptest! {
    /// In whatever order records come and however often, each is opened once.
    #[test]
    fn each_record_is_opened_once(order in vec(0..40usize, 0..200)) {
        let (mut sealer, mut opener) = (sealer(Algorithm::Aes128Gcm), opener(Algorithm::Aes128Gcm));
        let records: Vec<_> = (0..40u8).map(|number| seal(&mut sealer, &[number])).collect();
        let mut seen = [false; 40];
        for which in order {
            let opened = open(&mut opener, &records[which]);
            prop_assert_eq!(opened.is_ok(), !seen[which]);
            seen[which] = true;
        }
    }
}
