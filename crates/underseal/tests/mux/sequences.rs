//! The fuzz target's entry point as a property, and over its corpus, so that every test run drives
//! it.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_testkit::over_corpus;

use crate::sequence;

/// A step, and what it may ask the script for: short messages more often than what is none.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    let send = (0..20_u8, vec(0..4_u8, 0..12)).prop_map(|(peer, bytes)| {
        let len = bytes.len() as u8;
        [vec![1 + 12 * peer, len], bytes].concat()
    });
    prop_oneof![send, vec(any::<u8>(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_done_the_mux_does_as_its_model(
        limits in vec(any::<u8>(), 2),
        steps in vec(steps(), 0..60),
    ) {
        sequence::run(&[limits, steps.concat()].concat());
    }
}

#[test]
fn the_corpus_holds() {
    over_corpus("mux", sequence::run);
}
