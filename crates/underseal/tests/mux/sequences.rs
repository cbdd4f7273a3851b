//! The fuzz target's entry point as a property, and over its corpus, so that every test run drives
//! it.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

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
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/mux");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).expect("the corpus") {
        sequence::run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0);
}
