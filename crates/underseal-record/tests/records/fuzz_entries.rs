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

/// A ClientHello with a byte changed here and there.
fn any_hello() -> impl Strategy<Value = Vec<u8>> {
    let cookie = prop_oneof![Just(vec![]), vec(any::<u8>(), 32), vec(any::<u8>(), 0..40)];
    let changes = vec((any::<usize>(), any::<u8>()), 0..2);
    (cookie, vec(any::<u8>(), 2..20), changes).prop_map(|(cookie, suites, changes)| {
        let suites_len = suites.len() as u8;
        let mut body = [
            &[0xfe, 0xfd][..],
            &[7; 32],
            &[0, cookie.len() as u8],
            &cookie,
        ]
        .concat();
        body.extend([&[0, suites_len][..], &suites, &[1, 0]].concat());
        let len = [0, 0, body.len() as u8];
        let message = [&[1][..], &len, &[0; 5], &len, &body].concat();
        let mut hello = vec![
            22,
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
            message.len() as u8,
        ];
        hello.extend(message);
        for (at, value) in changes {
            let at = at % hello.len();
            hello[at] = value;
        }
        hello
    })
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
    fn reading_client_hellos_holds_its_invariants(data in any_hello()) {
        fuzz::dtls_hello(&data);
    }

    #[test]
    fn changing_datagrams_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::dtls_change(&data);
    }

    #[test]
    fn moving_a_window_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::dtls_window(&data);
    }

    #[test]
    fn updating_keys_over_a_bad_path_holds_its_invariants(data in vec(any::<u8>(), 0..400)) {
        fuzz::dtls_key_updates(&data);
    }
}
