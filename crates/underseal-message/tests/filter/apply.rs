use std::cell::RefCell;

use underseal_message::{Filter, Message, Verdict};

use crate::run::{text, write};

#[test]
fn a_verdict_spans_writes() {
    let seen = RefCell::new(Vec::new());
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        seen.borrow_mut().push(text(message));
        message.apply_bytes(7);
        Verdict::<usize>::Pass
    });
    for (bytes, chunks) in [
        ("a", vec!["a"]),
        ("bcd", vec!["bcd"]),
        ("efghijklmn", vec!["efg", "hijklmn"]),
        ("o", vec!["o"]),
    ] {
        let outcome = write(&mut filter, bytes);
        assert_eq!(outcome.result, Ok(bytes.len()));
        assert_eq!(outcome.own(), chunks);
    }
    drop(filter);
    assert_eq!(seen.into_inner(), ["a", "hijklmn", "o"]);
}

#[test]
fn zero_stands_for_the_whole_message() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        message.apply_bytes(7);
        message.apply_bytes(0);
        Verdict::<usize>::Pass
    });
    assert_eq!(write(&mut filter, "0123456789").own(), ["0123456789"]);
    assert_eq!(write(&mut filter, "ab").own(), ["ab"]);
    drop(filter);
    assert_eq!(runs, 2);
}

#[test]
fn a_body_of_any_length_is_not_looked_at() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        message.apply_bytes(1 << 30);
        Verdict::<usize>::Pass
    });
    let body = vec![0; 1 << 14];
    for _ in 0..100 {
        assert_eq!(write(&mut filter, &body).result, Ok(body.len()));
    }
    drop(filter);
    assert_eq!(runs, 1);
}

#[test]
fn a_program_without_an_end_to_its_apply_is_never_asked_again() {
    let mut runs = 0;
    let mut filter = Filter::egress(|message: &mut Message<'_>| {
        runs += 1;
        message.apply_bytes(u64::MAX);
        Verdict::<usize>::Pass
    });
    for _ in 0..3 {
        assert_eq!(write(&mut filter, "abc").own(), ["abc"]);
    }
    drop(filter);
    assert_eq!(runs, 1);
}

#[test]
fn nothing_written_is_not_judged() {
    let mut filter = Filter::egress(|_: &mut Message<'_>| -> Verdict { unreachable!("no byte") });
    assert_eq!(write(&mut filter, "").result, Ok(0));
}
