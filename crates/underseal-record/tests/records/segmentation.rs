//! A stream that ends anywhere is incomplete, never wrong.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::{Backend, Deframed, HEADER_LEN, deframe};

use crate::direction::{DirectionalKeys, Way, Write, any_backend, any_direction, any_write};
use crate::receiver::{Output, Receiver};

#[test]
fn every_prefix_of_a_record_says_what_is_missing() {
    for direction in DirectionalKeys::all() {
        let mut sealer = direction.sealer(Backend::ALL[0]);
        let record = Way::Flat
            .seal(&mut sealer, &Write::data(b"some bytes"))
            .remove(0);
        for have in 0..record.len() {
            let due = if have < HEADER_LEN {
                HEADER_LEN
            } else {
                record.len()
            };
            let found = deframe(direction.version, &record[..have]);
            assert_eq!(found, Ok(Deframed::Missing(due - have)), "{have} bytes");
        }
        let Ok(Deframed::Record(header)) = deframe(direction.version, &record) else {
            panic!("a whole record");
        };
        assert_eq!(header.record_len(), record.len());
    }
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_waits_for_the_rest(
        direction in any_direction(),
        writes in vec(any_write(20_000), 1..4),
        backend in any_backend(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut sealer = direction.sealer(backend);
        let records: Vec<Vec<u8>> =
            writes.iter().flat_map(|write| Way::Flat.seal(&mut sealer, write)).collect();
        let wire = records.concat();
        let cut = cut.index(wire.len());
        let mut receiver = Receiver::new(direction.opener(backend), Output::InPlace);
        prop_assert_eq!(receiver.feed(&wire[..cut]), Ok(()));

        let mut whole = 0;
        let opened = records.iter().take_while(|record| {
            whole += record.len();
            whole <= cut
        });
        prop_assert_eq!(receiver.records, opened.count());
        prop_assert!(!receiver.opener.is_poisoned());
        prop_assert_eq!(receiver.feed(&wire[cut..]), Ok(()));
        prop_assert_eq!(receiver.buffered(), 0);
    }
}

/// What a reader that follows [`Deframed::Missing`] to the byte does.
#[test]
fn reading_exactly_what_is_missing_ends_at_the_record() {
    for direction in DirectionalKeys::all() {
        let mut sealer = direction.sealer(Backend::ALL[0]);
        let wire: Vec<u8> = [&b"first"[..], &[0; 5_000]]
            .iter()
            .flat_map(|data| Way::Flat.seal(&mut sealer, &Write::data(data)).concat())
            .collect();
        let mut at = 0;
        let mut reads = Vec::new();
        while at < wire.len() {
            let start = at;
            while let Deframed::Missing(missing) =
                deframe(direction.version, &wire[start..at]).unwrap()
            {
                reads.push(missing);
                at += missing;
            }
        }
        assert_eq!(at, wire.len());
        assert_eq!(reads.len(), 4, "header and body of two records: {reads:?}");
    }
}
