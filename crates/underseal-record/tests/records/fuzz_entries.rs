//! The fuzz targets' entry points as properties, so that every test run drives them.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::fuzz;

/// Bytes that a fuzzer would find soon: headers with plausible fields between noise.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let header = (20..26u8, 2..5u8, any::<u16>().prop_map(|len| len % 40)).prop_map(
        |(content_type, minor, len)| {
            let [high, low] = len.to_be_bytes();
            vec![content_type, 3, minor, high, low]
        },
    );
    let piece = prop_oneof![header, vec(any::<u8>(), 0..60)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// As above, with headers of DTLS.
fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let header = (20..26u8, 0..2u8, any::<[u8; 6]>(), 0..40u8).prop_map(
        |(content_type, epoch, seq, len)| {
            [&[content_type, 0xfe, 0xfd, 0, epoch][..], &seq, &[0, len]].concat()
        },
    );
    let unified =
        (0x20..0x40u8, vec(0..10u8, 0..12)).prop_map(|(first, rest)| [vec![first], rest].concat());
    let piece = prop_oneof![header, unified, vec(any::<u8>(), 0..60)];
    (any::<u8>(), vec(piece, 0..12))
        .prop_map(|(choice, pieces)| [vec![choice], pieces.concat()].concat())
}

proptest! {
    #[test]
    fn deframing_holds_its_invariants(data in any_stream()) {
        fuzz::deframe_stream(&data);
    }

    #[test]
    fn opening_holds_its_invariants(choice in any::<u8>(), data in any_stream()) {
        fuzz::open_record(&[&[choice], &data[..]].concat());
    }

    #[test]
    fn sealing_changing_and_opening_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::seal_change_open(&data);
    }

    #[test]
    fn opening_datagrams_holds_its_invariants(data in any_datagram()) {
        fuzz::dtls_datagram(&data);
    }

    #[test]
    fn changing_datagrams_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::dtls_change(&data);
    }

    #[test]
    fn moving_a_window_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::dtls_window(&data);
    }
}
