//! The fuzz target's entry point as a property, and over its corpus, so that every test run drives
//! it.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::stream_sequence;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_both_ends_do_each_sees_what_the_other_did(
        choices in vec(any::<u8>(), 2),
        steps in vec(any::<(u8, u8)>(), 0..100),
    ) {
        let steps = steps.into_iter().flat_map(|(step, number)| [step, number]);
        stream_sequence::run(&choices.into_iter().chain(steps).collect::<Vec<_>>());
    }
}

#[test]
fn the_corpus_of_sequences_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/streams");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).expect("the corpus") {
        stream_sequence::run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0);
}
