use underseal_message::{Denied, Filter, Message, Verdict};

use crate::run::{carry_out, text, write};

/// Panics at `!`, and must not be run after that.
fn panicking() -> impl FnMut(&mut Message<'_>) -> Verdict {
    let mut panicked = false;
    move |message| {
        assert!(!panicked, "run again");
        if text(message).contains('!') {
            panicked = true;
            panic!("as the test wants");
        }
        message.apply_bytes(2);
        Verdict::Pass
    }
}

#[test]
fn a_program_that_panics_closes_its_direction_for_good() {
    let mut filter = Filter::egress(panicking());
    assert_eq!(write(&mut filter, "ab").result, Ok(2));
    assert_eq!(write(&mut filter, "!").result, Err(Denied::Panicked));
    for bytes in ["good", "", "!"] {
        let outcome = write(&mut filter, bytes);
        assert_eq!(
            (outcome.result, outcome.chunks),
            (Err(Denied::Panicked), vec![])
        );
    }
    assert_eq!(carry_out(filter.flush()).result, Err(Denied::Panicked));
    assert_eq!(carry_out(filter.shutdown()).result, Err(Denied::Panicked));
}

#[test]
fn what_went_before_a_panic_counts() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| -> Verdict {
        assert!(!text(message).starts_with('!'), "as the test wants");
        message.apply_bytes(2);
        Verdict::Pass
    });
    let outcome = write(&mut filter, "ab!c");
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(2), vec!["ab".to_owned()])
    );
    assert_eq!(write(&mut filter, "ab").result, Err(Denied::Panicked));
}

#[test]
fn what_was_held_is_not_delivered_after_a_panic() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| -> Verdict {
        message
            .cork_bytes(4)
            .expect("a program that expects too much");
        Verdict::Pass
    });
    assert_eq!(write(&mut filter, "abc").result, Ok(3));
    let end = carry_out(filter.shutdown());
    assert_eq!((end.result, end.chunks), (Err(Denied::Panicked), vec![]));
    assert_eq!(filter.kept(), 0);
}

#[test]
fn a_reader_is_told_of_a_panic() {
    let mut filter = Filter::ingress(panicking());
    assert_eq!(write(&mut filter, "ab").result, Ok(2));
    assert_eq!(write(&mut filter, "!").result, Err(Denied::Panicked));
    assert_eq!(write(&mut filter, "ab").result, Err(Denied::Panicked));
}
