//! Nothing is delivered at or after the first record that is not the one due.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::{Backend, ContentType, Error, PeerMisbehaved, TAG_LEN};

use crate::direction::{DirectionalKeys, Way, Write, any_backend, any_direction, any_write};
use crate::receiver::{Output, Receiver, any_output, expected};

/// Feeds `wire` and asserts that exactly the first `good` of `writes` are delivered, and that the
/// direction is dead then.
fn stops_after(
    direction: &DirectionalKeys,
    backend: Backend,
    output: Output,
    wire: &[u8],
    good: &[Write],
) -> Error {
    let mut receiver = Receiver::new(direction.opener(backend), output);
    let error = receiver.feed(wire).expect_err("nobody noticed");
    assert_eq!(receiver.delivered, expected(good));
    assert_ne!(error.alert(), None, "the peer is told: {error}");

    let mut opener = receiver.opener;
    assert!(opener.is_poisoned());
    assert_eq!(opener.seq().0, direction.seq + receiver.records as u64);
    let mut next = Way::Flat
        .seal(
            &mut direction.clone().at(opener.seq().0).sealer(backend),
            &Write::data(b"next"),
        )
        .concat();
    assert_eq!(opener.deframe(&next), Err(Error::Poisoned));
    assert_eq!(opener.open_in_place(&mut next), Err(Error::Poisoned));
    assert_eq!(
        opener.open_into(&mut next, &mut [0; 64]),
        Err(Error::Poisoned)
    );
    assert!(matches!(opener.into_keys(), Err(Error::Poisoned)));
    error
}

/// One record for each write.
fn seal_each(direction: &DirectionalKeys, backend: Backend, writes: &[Write]) -> Vec<Vec<u8>> {
    let mut sealer = direction.sealer(backend);
    writes
        .iter()
        .map(|write| Way::Flat.seal(&mut sealer, write).concat())
        .collect()
}

/// Enough bytes that a record whose length was changed to anything is still completed.
fn filler() -> Vec<u8> {
    vec![0; 1 << 16]
}

#[test]
fn every_flipped_bit_of_a_record_is_noticed() {
    let writes = [Write::data(b"first"), Write::data(b"second, to be flipped")];
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            let records = seal_each(&direction, backend, &writes);
            for bit in 0..records[1].len() * 8 {
                let mut wire = [records.concat(), filler()].concat();
                wire[records[0].len() + bit / 8] ^= 1 << (bit % 8);
                for output in [Output::InPlace, Output::Buffer(100)] {
                    stops_after(&direction, backend, output, &wire, &writes[..1]);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_in_a_stream_stops_it(
        direction in any_direction(),
        writes in vec(any_write(9_000), 1..5),
        backend in any_backend(),
        output in any_output(),
        (which, byte) in any::<(prop::sample::Index, prop::sample::Index)>(),
        bit in 0..8u8,
    ) {
        let records = seal_each(&direction, backend, &writes);
        let which = which.index(records.len());
        let before: usize = records[..which].iter().map(Vec::len).sum();
        let mut wire = [records.concat(), filler()].concat();
        wire[before + byte.index(records[which].len())] ^= 1 << bit;
        stops_after(&direction, backend, output, &wire, &writes[..which]);
    }

    #[test]
    fn records_out_of_order_stop_the_stream(
        direction in any_direction(),
        writes in vec(any_write(500), 2..6),
        backend in any_backend(),
        output in any_output(),
        (a, b) in any::<(prop::sample::Index, prop::sample::Index)>(),
        disorder in prop::sample::select(vec!["swap", "drop", "repeat"]),
    ) {
        let records = seal_each(&direction, backend, &writes);
        // The last record is not `a`: dropped, it would be a truncation, which no record shows.
        let a = a.index(records.len() - 1);
        let b = a + 1 + b.index(records.len() - 1 - a);
        let mut wire = records.clone();
        let good = match disorder {
            "swap" => {
                wire.swap(a, b);
                a
            }
            "drop" => {
                wire.remove(a);
                a
            }
            _ => {
                wire.insert(b, records[a].clone());
                b
            }
        };
        let error = stops_after(&direction, backend, output, &wire.concat(), &writes[..good]);
        prop_assert_eq!(error, PeerMisbehaved::BadRecordMac.into());
    }

    #[test]
    fn records_of_another_connection_stop_the_stream(
        direction in any_direction(),
        other in any::<[u8; 32]>(),
        writes in vec(any_write(500), 2),
        backend in any_backend(),
    ) {
        prop_assume!(direction.key != other);
        let ours = seal_each(&direction, backend, &writes);
        let theirs = DirectionalKeys { key: other, ..direction.clone() };
        let wire = [&ours[0], &seal_each(&theirs, backend, &writes)[1]].map(Vec::as_slice).concat();
        let error = stops_after(&direction, backend, Output::InPlace, &wire, &writes[..1]);
        prop_assert_eq!(error, PeerMisbehaved::BadRecordMac.into());
    }
}

#[test]
fn a_record_that_does_not_authenticate_leaves_no_plaintext() {
    let plaintext: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(91)).collect();
    for direction in DirectionalKeys::all() {
        for backend in Backend::ALL {
            for flip_tag in [false, true] {
                let write = Write::data(&plaintext);
                let mut record = Way::Flat
                    .seal(&mut direction.sealer(backend), &write)
                    .concat();
                let at = if flip_tag {
                    record.len() - TAG_LEN
                } else {
                    record.len() - 30
                };
                record[at] ^= 1;
                for len in [0, 100, 300] {
                    let (mut record, mut out) = (record.clone(), vec![0xee; len]);
                    let error = direction.opener(backend).open_into(&mut record, &mut out);
                    assert_eq!(error, Err(PeerMisbehaved::BadRecordMac.into()));
                    for buffer in [&record, &out] {
                        let found = buffer
                            .windows(8)
                            .any(|eight| plaintext.windows(8).any(|part| part == eight));
                        assert!(!found, "{direction:?} {backend} {len}");
                    }
                }
            }
        }
    }
}

#[test]
fn tls12_content_types_are_authentic() {
    for direction in DirectionalKeys::all().take(3) {
        let mut record = Way::Flat
            .seal(
                &mut direction.sealer(Backend::ALL[0]),
                &Write::data(b"data"),
            )
            .concat();
        record[0] = ContentType::HANDSHAKE.0;
        let error = direction.opener(Backend::ALL[0]).open_in_place(&mut record);
        assert_eq!(error, Err(PeerMisbehaved::BadRecordMac.into()));
    }
}
