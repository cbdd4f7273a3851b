//! The replay window against a naive model of it: every number in a set.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::dtls::{Discard, ReplayWindow};
use underseal_record::fuzz::dtls_window_agrees;

/// Numbers near those before, near the edges of words and windows, and far away.
fn steps() -> impl Strategy<Value = Vec<(bool, i64)>> {
    let step = prop_oneof![
        8 => -3..5i64,
        4 => -70..70i64,
        2 => -300..300i64,
        2 => -2200..2200i64,
        1 => 0..100_000i64,
    ];
    vec((any::<bool>(), step), 1..400)
}

proptest! {
    #[test]
    fn a_window_says_what_a_set_says(start in 0..5000u64, steps in steps()) {
        dtls_window_agrees::<2>(start, &steps);
        dtls_window_agrees::<3>(start, &steps);
        dtls_window_agrees::<33>(start, &steps);
    }

    #[test]
    fn a_window_says_it_at_the_last_numbers_too(below in 0..5000u64, steps in steps()) {
        dtls_window_agrees::<2>((1 << 48) - 1 - below, &steps);
        dtls_window_agrees::<33>((1 << 48) - 1 - below, &steps);
    }

    /// As above, and what is committed was not always checked.
    #[test]
    fn a_commit_below_the_window_changes_nothing(seq in 0..10_000u64) {
        let mut window: ReplayWindow = ReplayWindow::default();
        window.commit(10_000 + ReplayWindow::<33>::SIZE);
        let before = window.clone();
        window.commit(seq);
        prop_assert_eq!(window, before);
    }
}

#[test]
fn a_window_is_as_long_as_it_says() {
    let size = ReplayWindow::<33>::SIZE;
    assert_eq!(size, 2048);
    let mut window: ReplayWindow = ReplayWindow::default();
    window.commit(size);
    assert_eq!(window.check(1), Ok(()));
    assert_eq!(window.check(0), Err(Discard::TooOld));
}

#[test]
fn the_largest_number_there_could_be_moves_no_window() {
    let mut window: ReplayWindow = ReplayWindow::default();
    window.commit(u64::MAX);
    assert_eq!(window, ReplayWindow::default());
    window.commit(u64::MAX - 1);
    assert_eq!(window.next(), u64::MAX);
    assert_eq!(window.check(u64::MAX - 1), Err(Discard::Replayed));
}
