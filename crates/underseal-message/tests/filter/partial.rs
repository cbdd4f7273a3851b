//! Sockets that take less than they are given.

use std::cell::RefCell;
use std::io::IoSlice;

use underseal_message::{Filter, Message, Verdict};

use crate::run::{carry_out, carry_out_up_to, text, write};

#[test]
fn what_is_not_taken_stays_the_callers_and_is_judged_anew() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        match text(message).starts_with("X") {
            true => Verdict::<usize>::Drop,
            false => Verdict::Pass,
        }
    });
    let slices = [&b"abc"[..], b"def"].map(IoSlice::new);
    let outcome = carry_out_up_to(filter.offer(&slices), 4);
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(4), vec!["abcd".to_owned()])
    );
    // The caller comes with other bytes: the old verdict is not for them.
    assert!(write(&mut filter, "Xf").result.is_err());
    assert_eq!(filter.kept(), 0);
    drop(filter);
    assert_eq!(seen.into_inner(), ["abcdef", "Xf"]);
}

#[test]
fn what_is_covered_in_advance_is_not_judged_anew() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        message.apply_bytes(6);
        Verdict::<usize>::Pass
    });
    let outcome = carry_out_up_to(filter.offer(&[IoSlice::new(b"abcdef")]), 4);
    assert_eq!(outcome.result, Ok(4));
    assert_eq!(write(&mut filter, "ef").own(), ["ef"]);
    drop(filter);
    assert_eq!(runs, 1);
}

#[test]
fn a_message_that_has_not_begun_is_judged_anew_however_much_is_covered() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        message.apply_bytes(6);
        Verdict::<usize>::Pass
    });
    let outcome = carry_out_up_to(filter.offer(&[IoSlice::new(b"abcdef")]), 0);
    assert_eq!(outcome.result, Ok(0));
    assert_eq!(write(&mut filter, "others").own(), ["others"]);
    drop(filter);
    assert_eq!(seen.into_inner(), ["abcdef", "others"]);
}

#[test]
fn a_message_that_was_held_has_begun() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        assert!(text(message).starts_with("ab"), "judged within a message");
        message.cork_bytes(4).expect("no limit is reached");
        message.apply_bytes(6);
        Verdict::<usize>::Pass
    });
    write(&mut filter, "ab");
    let outcome = carry_out_up_to(filter.offer(&[IoSlice::new(b"cd")]), 0);
    assert_eq!(outcome.result, Ok(0));
    assert_eq!(write(&mut filter, "cdef").own(), ["abcdef"]);
}

#[test]
fn what_was_held_and_judged_is_not_judged_again() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        // Done with it in the second run, so there is nothing to do about an error.
        let _ = message.cork_bytes(5);
        Verdict::<usize>::Pass
    });
    write(&mut filter, "abcd");
    let outcome = carry_out_up_to(filter.offer(&[IoSlice::new(b"ef")]), 3);
    assert_eq!(
        (outcome.result, outcome.own()),
        (Ok(0), vec!["abc".to_owned()])
    );
    assert_eq!(carry_out(filter.flush()).own(), ["d"]);
    write(&mut filter, "ef");
    assert_eq!(carry_out(filter.shutdown()).own(), ["ef"]);
    drop(filter);
    assert_eq!(seen.into_inner(), ["abcd", "abcdef", "ef", "ef"]);
}

#[test]
fn an_offer_that_is_dropped_loses_nothing() {
    let mut filter = Filter::egress(|_: &mut Message<'_>| Verdict::<usize>::Pass);
    let slices = [IoSlice::new(b"abc")];
    let mut offer = filter.offer(&slices);
    assert!(offer.next().is_some());
    drop(offer);
    assert_eq!(write(&mut filter, "abc").own(), ["abc"]);
}

#[test]
fn a_chunk_is_gathered_as_far_as_there_is_room() {
    let mut filter = Filter::egress(|_: &mut Message<'_>| Verdict::<usize>::Pass);
    let slices = [&b"a"[..], b"", b"bc", b"d"].map(IoSlice::new);
    let mut offer = filter.offer(&slices);
    let mut sent = Vec::new();
    while let Some(decision) = offer.next() {
        let mut room = [IoSlice::new(&[]); 2];
        let gathered = decision.chunk().gather(&mut room);
        let bytes: Vec<u8> = gathered.iter().flat_map(|slice| slice.to_vec()).collect();
        offer.taken(bytes.len());
        sent.push(bytes);
    }
    assert_eq!(sent, [&b"abc"[..], b"d"]);
    assert_eq!(offer.finish(), Ok(4));
}

#[test]
fn who_has_the_bytes_in_place_need_not_move_them() {
    let mut filter = Filter::ingress(|_: &mut Message<'_>| Verdict::<usize>::Pass);
    let slices = [IoSlice::new(b"abc")];
    let mut offer = filter.offer(&slices);
    let chunk = offer.next().expect("three bytes pass").chunk();
    assert!(chunk.own().is_empty());
    let first = chunk.offered().iter().next().expect("it is not empty");
    assert_eq!(first.as_ptr(), slices[0].as_ptr());
}

#[test]
#[should_panic(expected = "no more goes on than the verdict covers")]
fn no_more_is_taken_than_was_judged() {
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        message.apply_bytes(2);
        Verdict::<usize>::Pass
    });
    let slices = [IoSlice::new(b"abc")];
    let mut offer = filter.offer(&slices);
    assert_eq!(offer.next().expect("two bytes pass").chunk().len(), 2);
    offer.taken(3);
}
