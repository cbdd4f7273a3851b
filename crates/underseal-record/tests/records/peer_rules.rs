//! Authentic records that a peer may not send all the same.

use underseal_record::{
    AlertDescription, Backend, ContentType, Error, Opener, PeerMisbehaved, ProtocolVersion,
};

use crate::direction::DirectionalKeys;
use crate::forge::{forge, forge_typed};

const DATA: ContentType = ContentType::APPLICATION_DATA;

/// Opens forged records in order, each under the next sequence number, until one is refused:
/// how many were opened, and why not the next.
fn open_all(
    direction: &DirectionalKeys,
    backend: Backend,
    forged: impl IntoIterator<Item = (ContentType, &'static [u8], usize)>,
) -> (usize, Option<Error>) {
    let mut opener = direction.opener(backend);
    for (at, (content_type, plaintext, zeros)) in forged.into_iter().enumerate() {
        let due = direction.clone().at(direction.seq + at as u64);
        let mut record = forge_typed(&due, content_type, plaintext, zeros);
        if let Err(error) = opener.open_in_place(&mut record) {
            assert!(opener.is_poisoned());
            return (at, Some(error));
        }
    }
    (opener.seq().0 as usize, None)
}

fn each() -> impl Iterator<Item = (DirectionalKeys, Backend)> {
    DirectionalKeys::all()
        .flat_map(|direction| Backend::ALL.map(|backend| (direction.clone(), backend)))
}

#[test]
fn thirty_two_empty_records_pass_and_one_more_does_not() {
    let empty = (DATA, &b""[..], 0);
    let most = usize::from(Opener::MAX_EMPTY_RECORDS);
    assert_eq!(most, 32);
    for (direction, backend) in each() {
        let passed = open_all(&direction, backend, vec![empty; most]);
        assert_eq!(passed, (most, None));
        let (opened, error) = open_all(&direction, backend, vec![empty; most + 1]);
        assert_eq!(
            (opened, error),
            (most, Some(PeerMisbehaved::TooManyEmptyRecords.into()))
        );
        assert_eq!(
            error.unwrap().alert(),
            Some(AlertDescription::UNEXPECTED_MESSAGE)
        );
    }
}

#[test]
fn a_byte_of_anything_ends_a_run_of_empty_records() {
    let empty = (DATA, &b""[..], 0);
    for (direction, backend) in each() {
        for content_type in [DATA, ContentType::HANDSHAKE, ContentType(99)] {
            let run = vec![empty; 32];
            let records = [run.clone(), vec![(content_type, b"x", 0)], run].concat();
            assert_eq!(open_all(&direction, backend, records), (65, None));
        }
    }
}

#[test]
fn padding_does_not_make_a_record_less_empty() {
    for (direction, backend) in each().filter(|each| each.0.version == ProtocolVersion::Tls13) {
        let (opened, error) = open_all(&direction, backend, vec![(DATA, &b""[..], 50); 40]);
        assert_eq!(
            (opened, error),
            (32, Some(PeerMisbehaved::TooManyEmptyRecords.into()))
        );
    }
}

#[test]
fn only_application_data_may_be_empty() {
    let types = [
        ContentType::ALERT,
        ContentType::HANDSHAKE,
        ContentType(24),
        ContentType(255),
    ];
    for (direction, backend) in each() {
        for content_type in types {
            let (opened, error) = open_all(&direction, backend, [(content_type, &b""[..], 0)]);
            assert_eq!(
                (opened, error),
                (0, Some(PeerMisbehaved::EmptyRecord(content_type).into()))
            );
            assert_eq!(
                error.unwrap().alert(),
                Some(AlertDescription::UNEXPECTED_MESSAGE)
            );
        }
    }
}

#[test]
fn change_cipher_spec_is_refused_even_if_authentic() {
    for (direction, backend) in each() {
        let ccs = ContentType::CHANGE_CIPHER_SPEC;
        let (opened, error) = open_all(&direction, backend, [(ccs, &b"\x01"[..], 0)]);
        assert_eq!(
            (opened, error),
            (0, Some(PeerMisbehaved::UnexpectedContentType(ccs).into()))
        );
        assert_eq!(
            error.unwrap().alert(),
            Some(AlertDescription::UNEXPECTED_MESSAGE)
        );
    }
}

#[test]
fn every_other_content_type_is_handed_up() {
    for (direction, backend) in each() {
        for content_type in (1..=255).filter(|byte| *byte != 20).map(ContentType) {
            let mut record = forge_typed(&direction, content_type, b"payload", 0);
            let opened = direction
                .opener(backend)
                .open_in_place(&mut record)
                .unwrap();
            assert_eq!(opened.content_type, content_type);
        }
    }
}

#[test]
fn a_tls13_record_of_zeros_has_no_content_type() {
    for (direction, backend) in each().filter(|each| each.0.version == ProtocolVersion::Tls13) {
        for zeros in [0, 1, 2, 1_000, 1 << 14] {
            let mut record = forge(&direction, DATA, &vec![0; zeros]);
            for out in [0, 1 << 15] {
                let mut opener = direction.opener(backend);
                let error = opener
                    .open_into(&mut record.clone(), &mut vec![0; out])
                    .unwrap_err();
                assert_eq!(error, PeerMisbehaved::NoContentType.into(), "{zeros} zeros");
            }
            let mut opener = direction.opener(backend);
            let error = opener.open_in_place(&mut record).unwrap_err();
            assert_eq!(error.alert(), Some(AlertDescription::UNEXPECTED_MESSAGE));
        }
    }
}

#[test]
fn tls12_may_use_content_type_zero() {
    for direction in DirectionalKeys::all().filter(|each| each.version == ProtocolVersion::Tls12) {
        let mut record = forge(&direction, ContentType(0), b"x");
        let opened = direction
            .opener(Backend::ALL[0])
            .open_in_place(&mut record)
            .unwrap();
        assert_eq!(opened.content_type, ContentType(0));
    }
}

/// Any amount of padding that fits is received, and no zero of the plaintext is taken for padding.
#[test]
fn padding_is_removed_and_zeros_of_the_plaintext_stay() {
    for (direction, backend) in each().filter(|each| each.0.version == ProtocolVersion::Tls13) {
        for zeros in [0, 1, 15, 16, 17, 255, 16_000] {
            let mut record = forge_typed(&direction, DATA, &[1, 0, 0], zeros);
            let mut out = vec![9; 17_000];
            let opened = direction
                .opener(backend)
                .open_into(&mut record, &mut out)
                .unwrap();
            assert_eq!(opened.content_type, DATA);
            assert_eq!(opened.plaintext, underseal_record::PlaintextIn::Out(3));
            assert_eq!(out[..3], [1, 0, 0]);
        }
    }
}

/// RFC 5288 section 3 leaves the explicit nonce to the sender: any will do.
#[test]
fn tls12_explicit_nonces_are_taken_from_the_record() {
    for (direction, backend) in each().filter(|each| each.0.version == ProtocolVersion::Tls12) {
        if direction.algorithm == underseal_record::Algorithm::ChaCha20Poly1305 {
            continue;
        }
        let mut sender = direction.clone();
        sender.iv[4..].copy_from_slice(&[0xd1; 8]);
        let mut record = forge_typed(&sender, DATA, b"another counter", 0);
        assert_eq!(record[5..13], [0xd1; 8]);
        let opened = direction
            .opener(backend)
            .open_in_place(&mut record)
            .unwrap();
        assert_eq!(
            opened.plaintext,
            underseal_record::PlaintextIn::Record(13..28)
        );
    }
}
