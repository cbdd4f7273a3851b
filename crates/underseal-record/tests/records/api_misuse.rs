//! What the caller does wrong costs nothing: no sequence number, no byte of output.

use std::io::IoSlice;

use underseal_record::{
    AlertDescription, Algorithm, ApiMisuse, Backend, ContentType, Error, MAX_PLAINTEXT, Padding,
    ProtocolVersion, Sealer, SeqNo, TrafficKeys,
};

use crate::direction::{DirectionalKeys, Way, Write};

const DATA: ContentType = ContentType::APPLICATION_DATA;

/// Asserts that every way to seal `plaintext` into `len` bytes is refused for `why` and leaves no
/// trace, then that the sealer still works.
fn refuses(
    sealer: &mut Sealer,
    content_type: ContentType,
    plaintext: &[u8],
    len: usize,
    why: Error,
) {
    let before = sealer.seq();
    let mut out = vec![0x42; len];
    let flat = sealer.seal(content_type, plaintext, &mut out);
    assert_eq!(flat, Err(why), "{content_type}");
    let slices = [IoSlice::new(&[]), IoSlice::new(plaintext)];
    let vectored = sealer.seal_vectored(content_type, &slices, &mut out);
    assert_eq!(vectored, Err(why), "{content_type}");
    let (front, back) = plaintext.split_at(plaintext.len() / 2);
    let slices = [IoSlice::new(front), IoSlice::new(back)];
    let gathered = sealer.seal_vectored(content_type, &slices, &mut out);
    assert_eq!(gathered, Err(why), "{content_type}");
    let in_place = sealer.seal_in_place(content_type, &mut out, plaintext.len());
    assert_eq!(in_place, Err(why), "{content_type}");
    assert!(
        out.iter().all(|byte| *byte == 0x42),
        "output was written to"
    );
    assert_eq!(sealer.seq(), before);
    assert!(!Way::Flat.seal(sealer, &Write::data(b"goes on")).is_empty());
}

fn each_sealer() -> impl Iterator<Item = Sealer> {
    DirectionalKeys::all()
        .flat_map(|direction| Backend::ALL.map(|backend| direction.clone().at(7).sealer(backend)))
}

#[test]
fn an_output_that_is_too_small_is_refused_before_anything_is_sealed() {
    for mut sealer in each_sealer() {
        for padding in [Padding::None, Padding::Multiple(64)] {
            sealer.set_padding(padding);
            let need = sealer.record_len(10);
            for have in [0, 4, need - 17, need - 1] {
                let why = ApiMisuse::OutputTooSmall { need, have };
                refuses(&mut sealer, DATA, &[1; 10], have, why.into());
            }
        }
    }
}

#[test]
fn records_that_may_not_be_sent_are_not_sealed() {
    for mut sealer in each_sealer() {
        let why = Error::from(ApiMisuse::ForbiddenRecord);
        refuses(
            &mut sealer,
            ContentType::CHANGE_CIPHER_SPEC,
            b"\x01",
            100,
            why,
        );
        for content_type in [ContentType::ALERT, ContentType::HANDSHAKE, ContentType(42)] {
            refuses(&mut sealer, content_type, b"", 100, why);
        }
        if sealer.version() == ProtocolVersion::Tls13 {
            refuses(&mut sealer, ContentType(0), b"untyped", 100, why);
        }
    }
}

#[test]
fn seal_in_place_takes_one_record_only() {
    for mut sealer in each_sealer() {
        let mut record = vec![0; 2 * MAX_PLAINTEXT];
        let error = sealer.seal_in_place(DATA, &mut record, MAX_PLAINTEXT + 1);
        assert_eq!(error, Err(ApiMisuse::PlaintextTooLong.into()));
        assert_eq!(sealer.seq(), SeqNo(7));
        assert!(
            sealer
                .seal_in_place(DATA, &mut record, MAX_PLAINTEXT)
                .is_ok()
        );
    }
}

#[test]
fn anything_but_one_record_is_misuse_and_harmless() {
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let record = Way::Flat
                .seal(&mut direction.sealer(backend), &Write::data(b"one record"))
                .concat();
            let mut opener = direction.opener(backend);
            let longer = [&record[..], &[0]].concat();
            for wrong in [
                &[][..],
                &record[..3],
                &record[..5],
                &record[..record.len() - 1],
                &longer,
            ] {
                let error = opener.open_in_place(&mut wrong.to_vec());
                assert_eq!(error, Err(ApiMisuse::NotOneRecord.into()));
                assert!(!opener.is_poisoned());
            }
            assert!(opener.open_in_place(&mut record.clone()).is_ok());
        }
    }
}

#[test]
fn keys_have_the_length_of_their_algorithm() {
    for algorithm in Algorithm::ALL {
        for len in [0, 15, 16, 17, 24, 31, 32, 33] {
            let keys = TrafficKeys::new(
                ProtocolVersion::Tls13,
                algorithm,
                &vec![1; len],
                [0; 12],
                SeqNo(0),
            );
            match keys {
                Ok(keys) => assert_eq!(keys.dangerous_key().len(), algorithm.key_len()),
                Err(error) => {
                    assert_ne!(len, algorithm.key_len());
                    assert_eq!(error, ApiMisuse::KeyLength.into());
                }
            }
        }
    }
}

#[test]
fn our_own_faults_are_internal_errors_to_the_peer() {
    for error in [
        Error::from(ApiMisuse::NotOneRecord),
        ApiMisuse::ForbiddenRecord.into(),
        Error::ConfidentialityLimit,
    ] {
        assert_eq!(error.alert(), Some(AlertDescription::INTERNAL_ERROR));
    }
}
