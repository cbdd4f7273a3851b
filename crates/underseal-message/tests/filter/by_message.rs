use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::{
    ByMessage, Delimiter, Denied, Filter, Head, Message, MessageParser, ParseError, Parsed,
    Program, StreamParser, Verdict,
};

use crate::run::{carry_out, text, write};

/// Drops whole lines that start with `X`, and marks those that start with `+`.
fn judge(message: &mut Message<'_>) -> Verdict {
    let text = text(message);
    assert!(
        text.ends_with('\n') && text.lines().count() == 1,
        "{text:?}"
    );
    // Neither has an effect.
    message.cork_bytes(1000).expect_err("it is whole");
    message.apply_bytes(1);
    match text.as_bytes()[0] {
        b'X' => Verdict::Drop,
        b'+' => {
            message.push(1, b"!").expect("1 is in the message");
            Verdict::Pass
        }
        _ => Verdict::Pass,
    }
}

fn lines<P: Program>(program: P) -> ByMessage<Delimiter, P> {
    ByMessage::new(StreamParser::new(Delimiter::line(), 50), program)
}

#[test]
fn a_program_is_given_whole_messages() {
    let mut filter = Filter::egress(lines(judge));
    assert_eq!(write(&mut filter, "one\ntwo\nth").own(), ["one\n", "two\n"]);
    assert_eq!(write(&mut filter, "r").own(), [""; 0]);
    assert_eq!(write(&mut filter, "ee\n+\n").own(), ["three\n", "+!\n"]);
    let refused = write(&mut filter, "Xfour\nfive\n");
    assert_eq!((refused.result, refused.refused), (Err(Denied::Dropped), 6));
    assert_eq!(write(&mut filter, "five\n").own(), ["five\n"]);
    assert_eq!(filter.program().error(), None);
}

/// What ends a stream: what was written, what went on, and why it ended.
fn end<M: MessageParser>(parser: M, writes: &[&str]) -> (Vec<String>, Option<ParseError>) {
    let pass = |_: &mut Message<'_>| Verdict::<usize>::Pass;
    let program = ByMessage::new(StreamParser::new(parser, 50), pass);
    let mut filter = Filter::ingress(program).cork_limit(20);
    let mut own = Vec::new();
    for bytes in writes {
        own.extend(write(&mut filter, bytes).own());
    }
    own.extend(carry_out(filter.shutdown()).own());
    (own, filter.program().error())
}

#[test]
fn what_cannot_be_parsed_is_dropped_from_there_on() {
    let digits = || {
        Head::new(|head: &[u8]| match head[0] {
            digit @ b'1'..=b'9' => Ok(Parsed::Message(u64::from(digit - b'0'))),
            b'0' => Ok(Parsed::Rest),
            _ => Err(ParseError::Malformed("no digit")),
        })
    };
    let expected = (
        vec!["3ab".to_owned()],
        Some(ParseError::Malformed("no digit")),
    );
    assert_eq!(end(digits(), &["3abx1", "1", "1"]), expected);
    // The end of the stream within a message, and a message longer than may be held.
    let expected = (
        vec!["1".to_owned()],
        Some(ParseError::Truncated { seen: 4 }),
    );
    assert_eq!(end(digits(), &["19ab", "c"]), expected);
    let expected = (vec![], Some(ParseError::TooLong { len: 21, max: 20 }));
    assert_eq!(
        end(Delimiter::line(), &["0123456789", "0123456789", "x\n"]),
        expected
    );
    let expected = (vec![], Some(ParseError::TooLong { len: 61, max: 50 }));
    assert_eq!(
        end(Delimiter::line(), &["0123456789".repeat(6).as_str()]),
        expected
    );
    let rest = ["0all", "of", "it"].map(str::to_owned).to_vec();
    assert_eq!(end(digits(), &["0all", "of", "it"]), (rest, None));
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        lines_of in vec("[X+a-z][a-z]{0,9}", 0..20),
        writes in vec(1..30usize, 1..10),
    ) {
        let stream: String = lines_of.iter().map(|line| format!("{line}\n")).collect();
        let kept = lines_of.iter().filter(|line| !line.starts_with('X'));
        let expected: String = kept.map(|line| format!("{}\n", line.replace('+', "+!"))).collect();
        let seen = RefCell::new(Vec::new());
        let program = lines(|message: &mut Message<'_>| {
            seen.borrow_mut().push(text(message).trim_end().to_owned());
            judge(message)
        });
        let mut filter = Filter::ingress(program);
        let (mut rest, mut own) = (stream.as_str(), String::new());
        for len in writes.iter().cycle() {
            let (first, after) = rest.split_at(rest.len().min(*len));
            own += &write(&mut filter, first).own().concat();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(own, expected);
        drop(filter);
        prop_assert_eq!(seen.into_inner(), lines_of);
    }
}

#[test]
fn programs_of_any_type_are_sent_to_other_threads() {
    let program: Box<dyn Program + Send> = Box::new(lines(judge));
    let mut filter = Filter::egress(program);
    let written = std::thread::spawn(move || write(&mut filter, "a\n").own());
    assert_eq!(written.join().expect("it does not panic"), ["a\n"]);
}
