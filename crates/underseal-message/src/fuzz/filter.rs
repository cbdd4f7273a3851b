//! A filter against a model: a program whose answers are the fuzzer's.

use std::cell::RefCell;
use std::io::IoSlice;
use std::ops::Range;

use crate::{Decision, Denied, Filter, Message, MessageDirection, Offer, Program, Verdict};

/// What the fuzzer has left to say.
struct Script<'d>(&'d [u8]);

impl Script<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }
}

/// A byte of a message in the model.
#[derive(Clone, Copy)]
enum Byte {
    /// The writer's; with what was deleted kept as a mark.
    Written {
        byte: u8,
        is_popped: bool,
    },
    Pushed(u8),
}

/// What the program has seen and said, and what must come of it.
struct Model<'d> {
    script: Script<'d>,
    /// All that was offered, as the filter should see it.
    stream: Vec<u8>,
    /// Bytes of it that are covered by a verdict.
    covered: usize,
    /// What must go on, and where.
    expected: Vec<(Option<u8>, u8)>,
    cork_limit: usize,
    is_last: bool,
}

impl Model<'_> {
    /// One run of the program.
    fn run(&mut self, message: &mut Message<'_>) -> Verdict<u8> {
        let seen: Vec<u8> = message.slices().flatten().copied().collect();
        assert!(!seen.is_empty(), "nothing is to be judged");
        assert_eq!(
            seen,
            self.stream[self.covered..],
            "what is judged must be seen"
        );
        self.look(message, &seen);
        let edited = self.edit(message, &seen);
        if self.cork(message, seen.len()) {
            return Verdict::Drop;
        }
        let apply = usize::from(self.script.next() / 4);
        message.apply_bytes(apply as u64);
        let covered = if apply == 0 { seen.len() } else { apply };
        self.judge(&edited, &seen, covered)
    }

    fn look(&mut self, message: &mut Message<'_>, seen: &[u8]) {
        let start = usize::from(self.script.next());
        let end = start + usize::from(self.script.next() % 16);
        match seen.get(start..end).filter(|range| !range.is_empty()) {
            Some(range) => assert_eq!(message.pull(start..end), Ok(range)),
            None => assert!(message.pull(start..end).is_err()),
        }
    }

    /// Changes the message and the model's copy of it in the same way.
    fn edit(&mut self, message: &mut Message<'_>, seen: &[u8]) -> Vec<Byte> {
        let written = |byte: &u8| Byte::Written {
            byte: *byte,
            is_popped: false,
        };
        let mut model: Vec<Byte> = seen.iter().map(written).collect();
        for _ in 0..self.script.next() % 4 {
            let at = usize::from(self.script.next() / 4);
            let len = usize::from(self.script.next() % 8);
            if self.script.next().is_multiple_of(2) {
                let bytes = vec![b'+'; len];
                let is_good = len == 0 || at <= visible(&model);
                assert_eq!(message.push(at, &bytes).is_ok(), is_good);
                if is_good {
                    let index = index_of(&model, at);
                    model.splice(index..index, bytes.iter().map(|byte| Byte::Pushed(*byte)));
                }
            } else {
                let is_good = len == 0 || at + len <= visible(&model);
                assert_eq!(message.pop(at..at + len).is_ok(), is_good);
                (0..len)
                    .filter(|_| is_good)
                    .for_each(|_| pop_one(&mut model, at));
            }
        }
        assert_eq!(message.len(), visible(&model));
        model
    }

    /// Whether the program asked for more and will get it.
    fn cork(&mut self, message: &mut Message<'_>, len: usize) -> bool {
        let n = usize::from(self.script.next() / 2);
        let corked = message.cork_bytes(n);
        let is_possible = len < self.cork_limit && !self.is_last;
        assert_eq!(corked.is_ok(), is_possible || n <= len);
        n > len && is_possible
    }

    fn judge(&mut self, edited: &[Byte], seen: &[u8], covered: usize) -> Verdict<u8> {
        let choice = self.script.next();
        let verdict = match choice % 4 {
            0 => Verdict::Drop,
            1 => Verdict::Redirect {
                to: choice,
                direction: MessageDirection::Ingress,
            },
            _ => Verdict::Pass,
        };
        self.covered += covered;
        let to = match verdict {
            Verdict::Drop => return verdict,
            Verdict::Pass => None,
            Verdict::Redirect { to, .. } => Some(to),
        };
        let ahead = covered.saturating_sub(seen.len());
        let bytes = first(edited, covered);
        self.expected.extend(bytes.map(|byte| (to, byte)));
        // What is covered in advance goes the same way once it comes: its bytes are known.
        let from = self.covered - ahead;
        self.expected
            .extend((from..self.covered).map(|at| (to, byte_at(at))));
        verdict
    }
}

fn visible(model: &[Byte]) -> usize {
    model.iter().filter(|byte| is_visible(byte)).count()
}

fn is_visible(byte: &Byte) -> bool {
    !matches!(
        byte,
        Byte::Written {
            is_popped: true,
            ..
        }
    )
}

/// Where the visible byte `at` is, or the end.
fn index_of(model: &[Byte], at: usize) -> usize {
    let mut visible = model
        .iter()
        .enumerate()
        .filter(|(_, byte)| is_visible(byte));
    visible.nth(at).map_or(model.len(), |(index, _)| index)
}

fn pop_one(model: &mut Vec<Byte>, at: usize) {
    let index = index_of(model, at);
    match &mut model[index] {
        Byte::Written { is_popped, .. } => *is_popped = true,
        Byte::Pushed(_) => {
            model.remove(index);
        }
    }
}

/// The visible bytes before the first written one that is not covered.
fn first(model: &[Byte], covered: usize) -> impl Iterator<Item = u8> {
    let mut written = 0;
    let covered = model.iter().take_while(move |byte| {
        written += usize::from(matches!(byte, Byte::Written { .. }));
        written <= covered
    });
    covered
        .filter(|byte| is_visible(byte))
        .map(|byte| match byte {
            Byte::Written { byte, .. } | Byte::Pushed(byte) => *byte,
        })
}

/// The byte at `at` of every stream: never a `+`, and other than its neighbours.
fn byte_at(at: usize) -> u8 {
    b'a' + u8::try_from(at % 23).expect("23 letters are bytes")
}

/// What one offer came to.
struct Carried {
    result: Result<usize, Denied>,
    refused: usize,
    bytes: Vec<(Option<u8>, u8)>,
}

/// Carries out all that `offer` decides, some bytes at a time.
fn carry_out<P: Program<u8>>(mut offer: Offer<'_, '_, P, u8>, at_a_time: usize) -> Carried {
    let mut bytes = Vec::new();
    while let Some(decision) = offer.next() {
        let to = match &decision {
            Decision::Pass(_) => None,
            Decision::Redirect { to, .. } => Some(**to),
        };
        let chunk = decision.chunk();
        assert!(!chunk.is_empty(), "a decision about nothing");
        let taken = chunk.len().min(at_a_time);
        let taken_bytes = chunk.slices().flatten().take(taken);
        bytes.extend(taken_bytes.map(|byte| (to, *byte)));
        offer.taken(taken);
    }
    Carried {
        refused: offer.refused(),
        result: offer.finish(),
        bytes,
    }
}

/// Writes, or receives, under a program that looks, edits, corks, applies and decides, all as
/// `data` says: byte 0 is the cork's limit, byte 1 how much is taken at a time, byte 2 the number
/// of writes and the direction, then come the lengths of the writes and what the program does.
///
/// The writer goes on behind what is refused.
pub fn filter(data: &[u8]) {
    let Some(([limit, at_a_time, count], rest)) = data.split_first_chunk() else {
        return;
    };
    let (writes, script) = rest.split_at(rest.len().min(usize::from(count % 16)));
    let model = RefCell::new(Model {
        script: Script(script),
        stream: Vec::new(),
        covered: 0,
        expected: Vec::new(),
        cork_limit: usize::from(*limit),
        is_last: false,
    });
    let program = |message: &mut Message<'_>| model.borrow_mut().run(message);
    let filter = match count & 16 {
        0 => Filter::ingress(program),
        _ => Filter::egress(program),
    };
    let mut filter = filter.cork_limit(usize::from(*limit));
    let at_a_time = usize::from(*at_a_time) + 1;
    let (mut got, mut end) = (Vec::new(), 0);
    for len in writes {
        let start = end;
        end += usize::from(*len);
        got.extend(write(&mut filter, &model, start..end, at_a_time));
        let most = usize::from(*limit).max(1);
        assert!(filter.kept() < most, "more is held than may be");
    }
    model.borrow_mut().is_last = true;
    got.extend(carry_out(filter.shutdown(), at_a_time).bytes);
    assert_eq!(filter.kept(), 0, "something is left at the end");
    drop(filter);
    check(&model.into_inner(), &got);
}

/// Writes the bytes of `range` and returns what went on.
fn write<P: Program<u8>>(
    filter: &mut Filter<P, u8>,
    model: &RefCell<Model<'_>>,
    mut range: Range<usize>,
    at_a_time: usize,
) -> Vec<(Option<u8>, u8)> {
    let mut got = Vec::new();
    while !range.is_empty() {
        let bytes: Vec<u8> = range.clone().map(byte_at).collect();
        // What was offered before, and was neither accepted nor refused, is offered again.
        model.borrow_mut().stream.truncate(range.start);
        model.borrow_mut().stream.extend(&bytes);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let carried = carry_out(filter.offer(&[first, second].map(IoSlice::new)), at_a_time);
        got.extend(carried.bytes);
        let accepted = carried.result.unwrap_or(0);
        let is_all = accepted == bytes.len();
        match (filter.direction(), carried.result) {
            (MessageDirection::Ingress, _) => assert!(is_all, "all that came is accepted"),
            (MessageDirection::Egress, Ok(_)) => {
                assert!(is_all || carried.refused > 0, "why not all?");
            }
            (MessageDirection::Egress, Err(denied)) => assert_eq!(denied, Denied::Dropped),
        }
        range.start += accepted + carried.refused;
    }
    got
}

/// That `got` is what the model expects.
fn check(model: &Model<'_>, got: &[(Option<u8>, u8)]) {
    assert!(model.covered >= model.stream.len(), "a byte was not judged");
    // The last verdict may cover bytes that never came.
    assert!(model.expected.starts_with(got), "other bytes went on");
    let missing = model.expected.len() - got.len();
    let ahead = model.covered - model.stream.len();
    assert!(missing <= ahead, "bytes are missing");
}
