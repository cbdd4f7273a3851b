//! Every way to seal, with either backend, makes the same bytes as the RFCs' text does.

use proptest::prelude::*;
use underseal_record::{Backend, ContentType, MAX_PLAINTEXT, Padding, ProtocolVersion};

use crate::direction::{DirectionalKeys, Way, Write, any_direction, any_padding, any_write};
use crate::forge::forge_typed;

proptest! {
    #[test]
    fn all_ways_and_backends_agree(
        direction in any_direction(),
        padding in any_padding(),
        max_plaintext in prop_oneof![Just(MAX_PLAINTEXT), 1..4_000usize],
        write in any_write(8_000),
    ) {
        let seal = |backend, way: Way| {
            let mut sealer = direction.sealer(backend);
            sealer.set_padding(padding);
            sealer.lower_max_plaintext(max_plaintext);
            way.seal(&mut sealer, &write)
        };
        let first = seal(Backend::ALL[0], Way::Flat);
        for backend in Backend::ALL {
            for way in Way::ALL {
                prop_assert_eq!(&seal(backend, way), &first, "{} {:?}", backend, way);
            }
        }
    }

    #[test]
    fn a_sealed_record_is_what_the_rfc_says(
        direction in any_direction(),
        write in any_write(MAX_PLAINTEXT),
        padding in any_padding(),
    ) {
        let plaintext = write.plaintext();
        let mut sealer = direction.sealer(Backend::ALL[Backend::COUNT - 1]);
        sealer.set_padding(padding);
        let records = Way::Flat.seal(&mut sealer, &write);
        prop_assert_eq!(records.len(), 1);
        let zeros = zeros(direction.version, padding, plaintext.len());
        let forged = forge_typed(&direction, write.content_type, &plaintext, zeros);
        prop_assert_eq!(&records[0], &forged);
    }
}

/// RFC 8446 section 5.4 leaves the amount to the sender; this is what [`Padding`] promises.
fn zeros(version: ProtocolVersion, padding: Padding, len: usize) -> usize {
    let room = MAX_PLAINTEXT - len;
    match (version, padding) {
        (ProtocolVersion::Tls12, _) | (_, Padding::Multiple(0)) => 0,
        (_, Padding::Multiple(n)) => {
            let n = usize::from(n);
            ((n - (len + 1) % n) % n).min(room)
        }
        (_, Padding::Full) => room,
        _ => 0,
    }
}

#[test]
fn fully_padded_records_hide_their_length() {
    for direction in DirectionalKeys::all() {
        let mut sealer = direction.sealer(Backend::ALL[0]);
        sealer.set_padding(Padding::Full);
        let lens = [0, 1, 1_000, MAX_PLAINTEXT - 1, MAX_PLAINTEXT].map(|len| {
            let records = Way::Flat.seal(&mut sealer, &Write::data(&vec![7; len]));
            assert_eq!(records.len(), 1);
            records[0].len()
        });
        match direction.version {
            ProtocolVersion::Tls13 => assert_eq!(lens, [lens[0]; 5]),
            ProtocolVersion::Tls12 => assert_eq!(lens[4] - lens[0], MAX_PLAINTEXT),
        }
    }
}

#[test]
fn a_record_takes_no_more_of_a_list_of_slices_than_fits() {
    let direction = DirectionalKeys::of(
        ProtocolVersion::Tls13,
        underseal_record::Algorithm::Aes256Gcm,
    );
    let slices = [vec![1; 10_000], vec![], vec![2; 6_384], vec![3; 100]];
    let write = Write {
        content_type: ContentType::APPLICATION_DATA,
        slices: slices.to_vec(),
    };
    let records = Way::Vectored.seal(&mut direction.sealer(Backend::ALL[0]), &write);
    let lens: Vec<usize> = records.iter().map(Vec::len).collect();
    assert_eq!(lens, [5 + MAX_PLAINTEXT + 17, 5 + 100 + 17]);
}
