use std::io;

use underseal_message::{Denied, Filter, Message, Verdict};

use crate::run::{carry_out, no_x, text, write};

#[test]
fn the_good_prefix_goes_on_and_the_next_call_is_refused() {
    let mut filter = Filter::egress(no_x);
    let first = write(&mut filter, "a.b.Xc.d.");
    assert_eq!(first.result, Ok(4));
    assert_eq!(first.own(), ["a.", "b."]);
    assert_eq!(first.refused, 3);
    let next = write(&mut filter, "Xc.d.");
    assert_eq!(next.result, Err(Denied::Dropped));
    assert!(next.chunks.is_empty());
}

#[test]
fn a_refusal_is_told_once_whatever_comes() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        no_x(message)
    });
    assert_eq!(write(&mut filter, "a.Xb.").result, Ok(2));
    // Other bytes, and good ones: their writer must learn what became of the message before.
    assert_eq!(write(&mut filter, "good.").result, Err(Denied::Dropped));
    assert_eq!(write(&mut filter, "good.").result, Ok(5));
    drop(filter);
    assert_eq!(
        runs, 3,
        "a., Xb., good.: what fails for an older refusal is not judged"
    );
}

#[test]
fn a_refusal_before_any_good_byte_is_told_at_once() {
    let mut filter = Filter::egress(no_x);
    assert_eq!(write(&mut filter, "Xa.").result, Err(Denied::Dropped));
    assert_eq!(write(&mut filter, "b.").result, Ok(2));
}

#[test]
fn refused_bytes_may_be_offered_again_and_are_judged_anew() {
    let mut allowed = false;
    let mut filter = Filter::egress(move |_: &mut Message<'_>| {
        let verdict = if allowed {
            Verdict::<usize>::Pass
        } else {
            Verdict::Drop
        };
        allowed = true;
        verdict
    });
    assert_eq!(write(&mut filter, "same").result, Err(Denied::Dropped));
    assert_eq!(write(&mut filter, "same").own(), ["same"]);
}

#[test]
fn a_drop_covers_bytes_in_advance_where_the_program_says_so() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        if text(message).starts_with('X') {
            message.apply_bytes(6);
            return Verdict::<usize>::Drop;
        }
        Verdict::Pass
    });
    assert_eq!(write(&mut filter, "X12").result, Err(Denied::Dropped));
    assert_eq!(write(&mut filter, "34").result, Err(Denied::Dropped));
    let rest = write(&mut filter, "5good");
    assert_eq!((rest.result, rest.refused), (Err(Denied::Dropped), 1));
    assert_eq!(write(&mut filter, "good").result, Ok(4));
    drop(filter);
    assert_eq!(runs, 2);
}

#[test]
fn a_drop_is_for_good_where_the_program_says_so() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        message.apply_bytes(u64::MAX);
        Verdict::<usize>::Drop
    });
    for _ in 0..10 {
        assert_eq!(write(&mut filter, "any").result, Err(Denied::Dropped));
    }
    drop(filter);
    assert_eq!(runs, 1);
}

#[test]
fn a_flush_tells_of_a_refusal_too() {
    let mut filter = Filter::egress(no_x);
    assert_eq!(write(&mut filter, "a.Xb.").result, Ok(2));
    assert_eq!(carry_out(filter.flush()).result, Err(Denied::Dropped));
    assert_eq!(carry_out(filter.flush()).result, Ok(0));
}

#[test]
fn what_is_received_and_refused_vanishes() {
    let mut filter = Filter::ingress(no_x);
    let outcome = write(&mut filter, "a.Xb.c.Xd");
    assert_eq!((outcome.result, outcome.refused), (Ok(9), 0));
    assert_eq!(outcome.own(), ["a.", "c."]);
    assert_eq!(write(&mut filter, "d.e.").own(), ["e."]);
}

#[test]
fn a_drop_covers_what_is_received_later() {
    let mut filter = Filter::ingress(|message: &mut Message<'_>| {
        message.apply_bytes(5);
        match text(message).starts_with('X') {
            true => Verdict::<usize>::Drop,
            false => Verdict::Pass,
        }
    });
    assert_eq!(write(&mut filter, "X12").own(), [""; 0]);
    assert_eq!(write(&mut filter, "34abcdeX").own(), ["abcde"]);
    assert_eq!(write(&mut filter, "Xab").own(), [""; 0]);
}

#[test]
fn a_refusal_is_permission_denied() {
    let error = io::Error::from(Denied::Dropped);
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "refused by the program of this socket");
}
