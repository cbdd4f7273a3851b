//! However the same bytes are split into writes, and however little is taken at a time, the same
//! bytes come out.

use std::io::IoSlice;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::{Filter, Message, MessageDirection, Verdict};

use crate::run::{Outcome, To, carry_out, carry_out_up_to};

const HEADER: usize = 2;
const PUSHED: &[u8] = b"pushed";

#[derive(Clone, Copy, Debug)]
enum What {
    Pass,
    Drop,
    Redirect,
    /// The first byte goes and others come behind the header.
    Edit,
}

impl What {
    const ALL: [Self; 4] = [Self::Pass, Self::Drop, Self::Redirect, Self::Edit];

    fn of(byte: u8) -> Self {
        Self::ALL[usize::from(byte) % Self::ALL.len()]
    }
}

const REDIRECT: Verdict = Verdict::Redirect {
    to: 7,
    direction: MessageDirection::Ingress,
};

/// Judges messages of a type, a length and a body by their header.
fn by_header(message: &mut Message<'_>) -> Verdict {
    let Ok(&[what, len]) = message.pull(..HEADER) else {
        return match message.cork_bytes(HEADER) {
            Ok(()) => Verdict::Pass,
            Err(_) => Verdict::Drop,
        };
    };
    message.apply_bytes((HEADER + usize::from(len)) as u64);
    match What::of(what) {
        What::Pass => Verdict::Pass,
        What::Drop => Verdict::Drop,
        What::Redirect => REDIRECT,
        What::Edit => {
            message.push(HEADER, PUSHED).expect("the header is there");
            message.pop(..1).expect("the header is there");
            Verdict::Pass
        }
    }
}

/// What should come of `stream`: where each byte goes.
fn expected(mut stream: &[u8]) -> Vec<(To, u8)> {
    let mut out = Vec::new();
    while let [what, len, ..] = *stream {
        let (message, rest) = stream.split_at(stream.len().min(HEADER + usize::from(len)));
        stream = rest;
        let to = |bytes: &[u8], to| bytes.iter().map(|byte| (to, *byte)).collect::<Vec<_>>();
        match What::of(what) {
            What::Pass => out.extend(to(message, To::Own)),
            What::Drop => {}
            What::Redirect => out.extend(to(message, To::Peer(7, MessageDirection::Ingress))),
            What::Edit => {
                let edited = [&message[1..HEADER], PUSHED, &message[HEADER..]].concat();
                out.extend(to(&edited, To::Own));
            }
        }
    }
    out
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let message = (0..4u8, vec(any::<u8>(), 0..40)).prop_map(|(what, body)| {
        let len = u8::try_from(body.len()).expect("bodies are short");
        [&[what, len], &body[..]].concat()
    });
    vec(message, 0..20).prop_flat_map(|messages| {
        let stream = messages.concat();
        let len = stream.len();
        // Cut off anywhere.
        (Just(stream), 0..=len).prop_map(|(stream, len)| stream[..len].to_vec())
    })
}

/// Writes all of `stream` in writes of the lengths of `writes`, of which `rooms` bytes are taken
/// at a time, and goes on behind what is refused.
fn run(
    mut filter: Filter<fn(&mut Message<'_>) -> Verdict>,
    stream: &[u8],
    writes: &[usize],
    rooms: &[usize],
) -> Vec<(To, u8)> {
    let (mut writes, mut rooms) = (writes.iter().cycle(), rooms.iter().cycle());
    let mut out = Vec::new();
    let mut collect = |outcome: &Outcome| {
        for (to, bytes) in &outcome.chunks {
            out.extend(bytes.iter().map(|byte| (*to, *byte)));
        }
    };
    let mut rest = stream;
    while !rest.is_empty() {
        let len = writes.next().map_or(rest.len(), |len| rest.len().min(*len));
        let (first, second) = rest[..len].split_at(len / 3);
        let slices = [first, second].map(IoSlice::new);
        let room = rooms.next().map_or(usize::MAX, |room| *room);
        let outcome = carry_out_up_to(filter.offer(&slices), room);
        collect(&outcome);
        rest = &rest[outcome.result.unwrap_or(0) + outcome.refused..];
    }
    while filter.kept() > 0 {
        collect(&carry_out(filter.shutdown()));
    }
    out
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        stream in stream(),
        writes in vec(1..60usize, 1..10),
        rooms in vec(1..50usize, 1..10),
    ) {
        let judge: fn(&mut Message<'_>) -> Verdict = by_header;
        let expected = expected(&stream);
        let whole = run(Filter::egress(judge), &stream, &[], &[]);
        prop_assert_eq!(&whole, &expected);
        prop_assert_eq!(&run(Filter::egress(judge), &stream, &writes, &[]), &expected);
        prop_assert_eq!(&run(Filter::egress(judge), &stream, &writes, &rooms), &expected);
        prop_assert_eq!(&run(Filter::ingress(judge), &stream, &writes, &rooms), &expected);
    }
}
