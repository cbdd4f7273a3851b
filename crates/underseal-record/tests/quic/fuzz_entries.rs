//! The fuzz targets' entry points as properties, so that every test run drives them.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::fuzz;

/// Bytes that a fuzzer would find soon: long headers with plausible fields.
fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![Just(1_u32), Just(0x6b33_43cf), any::<u32>()];
    let id = (0_u8..22)
        .prop_flat_map(|len| vec(any::<u8>(), usize::from(len)).prop_map(move |id| (len, id)));
    let long = (
        any::<u8>(),
        version,
        id.clone(),
        id,
        0_u8..40,
        vec(any::<u8>(), 0..60),
    )
        .prop_map(|(first, version, destination, source, len, rest)| {
            let mut packet = vec![0xc0 | first];
            packet.extend(version.to_be_bytes());
            for (len, id) in [destination, source] {
                packet.push(len);
                packet.extend(id);
            }
            if first & 0x30 == 0 {
                packet.push(0);
            }
            packet.push(len);
            packet.extend(rest);
            packet
        });
    let piece = prop_oneof![3 => long, 1 => vec(any::<u8>(), 0..60)];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn reading_headers_holds_its_invariants(id_len in any::<u8>(), data in any_datagram()) {
        fuzz::quic_headers(&[&[id_len], &data[..]].concat());
    }

    #[test]
    fn opening_trains_holds_its_invariants(data in vec(any::<u8>(), 0..200)) {
        fuzz::quic_train(&data);
    }

    #[test]
    fn sealing_trains_holds_its_invariants(data in vec(any::<u8>(), 0..200)) {
        fuzz::quic_seal(&data);
    }
}
