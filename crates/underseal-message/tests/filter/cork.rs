use std::cell::RefCell;

use underseal_message::{Denied, Filter, HelperError, Message, Program, Verdict};

use crate::run::{carry_out, no_x, text, write};

fn cork(n: usize) -> impl Program {
    move |message: &mut Message<'_>| {
        // At the end the verdict counts, so there is nothing to do about an error.
        let _ = message.cork_bytes(n);
        Verdict::Pass
    }
}

#[test]
fn corked_writes_are_accepted_and_go_on_in_one_piece() {
    let mut filter = Filter::egress(cork(16));
    for len in [1, 3, 10] {
        let outcome = write(&mut filter, vec![b'a'; len]);
        assert_eq!(outcome.result, Ok(len));
        assert!(outcome.chunks.is_empty());
    }
    assert_eq!(filter.kept(), 14);
    let outcome = write(&mut filter, vec![b'b'; 20]);
    assert_eq!(outcome.result, Ok(20));
    assert_eq!(outcome.own(), ["a".repeat(14) + &"b".repeat(20)]);
    assert_eq!(filter.kept(), 0);
}

#[test]
fn the_program_is_run_again_with_all_that_is_held() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        no_x(message)
    });
    for piece in ["ab", "cd", "e.fg", ".h."] {
        write(&mut filter, piece);
    }
    drop(filter);
    let seen = seen.into_inner();
    assert_eq!(seen, ["ab", "abcd", "abcde.fg", "fg", "fg.h.", "h."]);
}

#[test]
fn the_program_is_not_run_before_there_is_enough() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        message.cork_bytes(4).unwrap();
        Verdict::<usize>::Pass
    });
    for piece in ["a", "b", "c", "d"] {
        write(&mut filter, piece);
    }
    drop(filter);
    assert_eq!(seen.into_inner(), ["a", "abcd"]);
}

#[test]
fn what_a_run_decides_besides_its_cork_is_forgotten() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        if text(message) == "a" {
            message.push(0, b"lost").unwrap();
            message.apply_bytes(1);
            message.cork_bytes(2).unwrap();
            return Verdict::<usize>::Drop;
        }
        Verdict::Pass
    });
    assert_eq!(write(&mut filter, "a").result, Ok(1));
    assert_eq!(write(&mut filter, "b").own(), ["ab"]);
}

#[test]
fn what_is_held_is_judged_at_the_end() {
    let mut filter = Filter::egress(cork(16));
    write(&mut filter, "123456789");
    let end = carry_out(filter.shutdown());
    assert_eq!(
        (end.result, end.own()),
        (Ok(0), vec!["123456789".to_owned()])
    );
    assert_eq!(carry_out(filter.shutdown()).chunks, []);
}

#[test]
fn at_the_end_a_program_that_needs_more_may_refuse() {
    let mut filter = Filter::egress(no_x);
    write(&mut filter, "a.unfinished");
    assert_eq!(filter.kept(), 10);
    let end = carry_out(filter.shutdown());
    assert_eq!((end.result, end.chunks), (Err(Denied::Dropped), vec![]));
    assert_eq!(filter.kept(), 0);
}

#[test]
fn at_the_end_a_refused_message_does_not_hide_the_one_behind_it() {
    let mut calls = 0;
    let mut filter = Filter::egress(move |message: &mut Message<'_>| {
        calls += 1;
        if calls == 1 {
            message.cork_bytes(100).unwrap();
            return Verdict::<usize>::Pass;
        }
        message.apply_bytes(2);
        match text(message).starts_with('X') {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    });
    write(&mut filter, "a.X.b.");
    let end = carry_out(filter.shutdown());
    assert_eq!(end.result, Err(Denied::Dropped));
    assert_eq!(end.own(), ["a.", "b."]);
}

#[test]
fn a_flush_does_not_judge_what_is_held() {
    let mut filter = Filter::egress(cork(16));
    write(&mut filter, "123456789");
    assert_eq!(carry_out(filter.flush()).chunks, []);
    assert_eq!(filter.kept(), 9);
}

#[test]
fn no_more_is_held_than_the_limit() {
    let errors = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        errors
            .borrow_mut()
            .push(message.cork_bytes(1_000_000).err());
        Verdict::<usize>::Pass
    })
    .cork_limit(10);
    for (piece, kept) in [("1234", 4), ("56789", 9)] {
        assert_eq!(write(&mut filter, piece).result, Ok(piece.len()));
        assert_eq!(filter.kept(), kept);
    }
    assert_eq!(write(&mut filter, "0abc").own(), ["1234567890abc"]);
    drop(filter);
    assert_eq!(errors.into_inner(), [None, Some(HelperError::CannotCork)]);
}

#[test]
fn held_bytes_are_lost_with_the_message_that_is_refused() {
    let mut filter = Filter::egress(no_x);
    assert_eq!(write(&mut filter, "Xa").result, Ok(2));
    let refused = write(&mut filter, "b.c.");
    assert_eq!((refused.result, refused.refused), (Err(Denied::Dropped), 2));
    assert_eq!(write(&mut filter, "c.").own(), ["c."]);
}
