//! The fuzz target's entry point as a property, and over its corpus, so that every test run drives
//! it.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_testkit::over_corpus;

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
    over_corpus("streams", stream_sequence::run);
}
