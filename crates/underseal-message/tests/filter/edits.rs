use underseal_message::{Filter, Message, Program, Verdict};

use crate::run::{carry_out, carry_out_up_to, text, write};
use std::io::IoSlice;

fn push_and_apply(apply: u64) -> impl Program {
    move |message: &mut Message<'_>| {
        message.push(0, b"<").expect("0 is in every message");
        message.apply_bytes(apply);
        Verdict::Pass
    }
}

#[test]
fn pushed_bytes_are_sent_and_not_counted() {
    let mut filter = Filter::egress(push_and_apply(0));
    let outcome = write(&mut filter, "abc");
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(3), vec!["<abc".to_owned()])
    );
}

#[test]
fn popped_bytes_are_counted_and_not_sent() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        message.pop(..2).unwrap();
        Verdict::<usize>::Pass
    });
    let outcome = write(&mut filter, "abc");
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(3), vec!["c".to_owned()])
    );
    assert_eq!(write(&mut filter, "de").own(), [""; 0]);
}

#[test]
fn push_and_apply_compose() {
    let mut filter = Filter::egress(push_and_apply(4));
    let outcome = write(&mut filter, "0123456789");
    assert_eq!(outcome.result, Ok(10));
    assert_eq!(outcome.own(), ["<0123", "<4567", "<89"]);
    // Two of the last four are still to come.
    assert_eq!(write(&mut filter, "abcd").own(), ["ab", "<cd"]);
}

#[test]
fn an_apply_shorter_than_what_is_pushed_makes_progress() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        message.push(0, b"long prefix ").unwrap();
        message.apply_bytes(1);
        Verdict::<usize>::Pass
    });
    assert_eq!(
        write(&mut filter, "ab").own(),
        ["long prefix a", "long prefix b"]
    );
}

#[test]
fn edits_behind_what_is_covered_are_undone() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        assert!(!text(message).contains('!'), "met its own edit");
        message.apply_bytes(2);
        if message.len() > 3 {
            message.pop(3..).unwrap();
            message.push(3, b"!").unwrap();
        }
        Verdict::<usize>::Pass
    });
    assert_eq!(write(&mut filter, "abcdef").own(), ["ab", "cd", "ef"]);
}

#[test]
fn a_helper_that_fails_leaves_the_message_as_it_was() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        assert!(message.push(100, b"x").is_err());
        assert!(message.pop(0..100).is_err());
        Verdict::<usize>::Pass
    });
    assert_eq!(write(&mut filter, "abc").own(), ["abc"]);
}

#[test]
fn a_changed_message_that_is_not_taken_is_kept_and_goes_first() {
    let mut filter = Filter::egress(push_and_apply(0));
    let slices = [IoSlice::new(b"abc")];
    let outcome = carry_out_up_to(filter.offer(&slices), 1);
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(3), vec!["<".to_owned()])
    );
    assert_eq!(filter.kept(), 3);
    assert_eq!(write(&mut filter, "d").own(), ["abc", "<d"]);
    let outcome = carry_out_up_to(filter.offer(&slices), 2);
    assert_eq!(outcome.result, Ok(3));
    assert_eq!(carry_out(filter.flush()).own(), ["bc"]);
    assert_eq!(filter.kept(), 0);
}

#[test]
fn a_dropped_message_is_not_sent_however_it_was_changed() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        message.push(0, b"x").unwrap();
        message.apply_bytes(2);
        Verdict::<usize>::Drop
    });
    let outcome = write(&mut filter, "abc");
    assert_eq!((outcome.chunks.len(), outcome.refused), (0, 2));
}
