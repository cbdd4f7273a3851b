use proptest::prelude::*;

use super::*;

fn text(message: &Message<'_>) -> String {
    let bytes: Vec<u8> = message.slices().flatten().copied().collect();
    assert_eq!(bytes.len(), message.len());
    String::from_utf8(bytes).expect("the tests use text")
}

fn with(test: impl Fn(&mut Message<'_>)) {
    // The same ten bytes in one slice and in several.
    let layouts: [&[&[u8]]; 3] = [
        &[b"0123456789"],
        &[b"012", b"", b"3456", b"789"],
        &[b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"],
    ];
    for layout in layouts {
        let slices: Vec<_> = layout.iter().map(|slice| IoSlice::new(slice)).collect();
        test(&mut Message::new(&slices));
        let (held, input) = slices.split_first().expect("no layout is empty");
        test(&mut Message::joined(held, Slices::new(input), usize::MAX));
    }
}

const fn out_of_range<T>(start: usize, end: usize, len: usize) -> Result<T, HelperError> {
    Err(HelperError::OutOfRange { start, end, len })
}

#[test]
fn pull_shows_any_range() {
    with(|message| {
        let all = b"0123456789";
        for start in 0..all.len() {
            for end in start + 1..=all.len() {
                assert_eq!(message.pull(start..end), Ok(&all[start..end]));
            }
        }
        assert_eq!(message.pull(..), Ok(&all[..]));
        assert_eq!(message.pull(7..=8), Ok(&b"78"[..]));
        assert_eq!(
            message.pull((Bound::Excluded(7), Bound::Unbounded)),
            Ok(&b"89"[..])
        );
    });
}

#[test]
fn pull_borrows_within_a_slice_and_copies_across() {
    let slices = [&b"0123"[..], b"4567"].map(IoSlice::new);
    let mut message = Message::new(&slices);
    let within = message.pull(5..8).unwrap().as_ptr();
    assert_eq!(within, slices[1][1..].as_ptr());
    assert_eq!(message.linear.capacity(), 0);
    assert_eq!(message.pull(3..5), Ok(&b"34"[..]));
    assert!(message.linear.capacity() > 0);
}

#[test]
fn pull_refuses_what_the_kernel_refuses() {
    with(|message| {
        assert_eq!(message.pull(3..3), out_of_range(3, 3, 10));
        let (three, two) = (3, 2);
        assert_eq!(message.pull(three..two), out_of_range(3, 2, 10));
        assert_eq!(message.pull(10..11), out_of_range(10, 11, 10));
        assert_eq!(message.pull(9..11), out_of_range(9, 11, 10));
        assert_eq!(message.pull(..=usize::MAX), out_of_range(0, usize::MAX, 10));
    });
    assert_eq!(Message::new(&[]).pull(..), out_of_range(0, 0, 0));
}

#[test]
fn push_inserts_anywhere_up_to_the_end() {
    with(|message| {
        message.push(10, b"Z").unwrap();
        message.push(0, b"A").unwrap();
        message.push(4, b"__").unwrap();
        assert_eq!(text(message), "A012__3456789Z");
        assert_eq!(message.push(15, b"x"), out_of_range(15, 16, 14));
        assert_eq!(message.push(99, b""), Ok(()));
        assert_eq!(text(message), "A012__3456789Z");
        assert_eq!(message.pull(3..7), Ok(&b"2__3"[..]));
    });
}

#[test]
fn push_is_bounded() {
    let mut message = Message::new(&[]);
    message.push(0, &[0; Message::MAX_PUSHED - 1]).unwrap();
    let pushed = Message::MAX_PUSHED + 1;
    assert_eq!(message.push(0, b"ab"), Err(HelperError::TooLong { pushed }));
    assert_eq!(message.push(0, b"a"), Ok(()));
    assert_eq!(message.len(), Message::MAX_PUSHED);
}

#[test]
fn pop_deletes_what_was_written_and_what_was_pushed() {
    with(|message| {
        message.push(5, b"abc").unwrap();
        message.pop(4..7).unwrap();
        assert_eq!(text(message), "0123c56789");
        message.pop(..2).unwrap();
        message.pop(7..).unwrap();
        assert_eq!(text(message), "23c5678");
        message.pop(..).unwrap();
        assert!(message.is_empty());
        assert_eq!(message.pull(..), out_of_range(0, 0, 0));
    });
}

#[test]
fn pop_refuses_what_the_kernel_refuses() {
    with(|message| {
        assert_eq!(message.pop(10..11), out_of_range(10, 11, 10));
        assert_eq!(message.pop(8..11), out_of_range(8, 11, 10));
        assert_eq!(message.pop(1..usize::MAX), out_of_range(1, usize::MAX, 10));
        assert_eq!(message.pop(99..99), Ok(()));
        assert_eq!(message.pop(3..3), Ok(()));
        assert_eq!(text(message), "0123456789");
    });
}

fn covered(message: Message<'_>) -> String {
    let edited = message.into_wishes(false).edited.expect("it was edited");
    String::from_utf8(edited).expect("the tests use text")
}

fn replace(message: &mut Message<'_>, range: Range<usize>) {
    let start = range.start;
    message.pop(range).expect("the range is in the message");
    message.push(start, b"new").expect("so is its start");
}

/// An edit, the bytes it applies to, and what is then covered.
type Case = (fn(&mut Message<'_>), u64, &'static str);

#[test]
fn edits_are_covered_with_the_bytes_they_belong_to() {
    let cases: &[Case] = &[
        (|m| m.push(0, b"head").unwrap(), 0, "head0123456789"),
        (|m| m.push(0, b"head").unwrap(), 7, "head0123456"),
        (|m| m.push(7, b"tail").unwrap(), 7, "0123456tail"),
        (|m| m.push(8, b"late").unwrap(), 7, "0123456"),
        (|m| m.pop(0..2).unwrap(), 7, "23456"),
        (|m| m.pop(5..9).unwrap(), 7, "01234"),
        (|m| m.pop(8..9).unwrap(), 7, "0123456"),
        (|m| m.pop(..).unwrap(), 7, ""),
        (|m| replace(m, 6..8), 7, "012345"),
        (|m| replace(m, 7..9), 7, "0123456"),
        (|m| replace(m, 5..7), 7, "01234new"),
        (|m| m.push(10, b"end").unwrap(), 100, "0123456789end"),
    ];
    for (index, (edit, apply, expected)) in cases.iter().enumerate() {
        let slices = [&b"012"[..], b"3456789"].map(IoSlice::new);
        let mut message = Message::new(&slices);
        edit(&mut message);
        message.apply_bytes(*apply);
        assert_eq!(covered(message), *expected, "case {index}");
    }
}

#[test]
fn cork_waits_for_no_more_than_may_be_held() {
    let slices = [IoSlice::new(b"0123456789")];
    for (limit, n, expected) in [
        (100, 5, Ok(5)),
        (100, 50, Ok(50)),
        (100, 500, Ok(100)),
        (10, 11, Err(HelperError::CannotCork)),
        (10, 10, Ok(10)),
        (0, 11, Err(HelperError::CannotCork)),
    ] {
        let mut message = Message::joined(&[], Slices::new(&slices), limit);
        let corked = message.cork_bytes(n);
        assert_eq!(corked.map(|()| message.into_wishes(false).cork), expected);
    }
}

/// Places of every second byte of a message of `len` bytes, in orders that a peer may choose.
fn orders(len: usize) -> [Vec<usize>; 4] {
    let ascending: Vec<usize> = (0..len).step_by(2).collect();
    let descending = ascending.iter().rev().copied().collect();
    let half = ascending.len() / 2;
    let ends = (0..half).flat_map(|at| [ascending[at], ascending[2 * half - 1 - at]]);
    // Every place once, each far from the one before: the golden ratio of a power of two, odd.
    let far = (0..2 * half).map(|at| ascending[at * 0x9e37_79b1 % (2 * half)]);
    [ascending.clone(), descending, ends.collect(), far.collect()]
}

/// Where bytes of a message are, however it was edited: one tick for each that is there.
struct Ticks(Vec<usize>);

impl Ticks {
    fn new(len: usize) -> Self {
        let mut ticks = Self(vec![0; len + 1]);
        (0..len).for_each(|at| ticks.add(at, 1));
        ticks
    }

    fn add(&mut self, at: usize, by: isize) {
        let mut index = at + 1;
        while let Some(sum) = self.0.get_mut(index) {
            *sum = sum.wrapping_add_signed(by);
            index += index & index.wrapping_neg();
        }
    }

    /// Bytes in front of the one that was at `at`.
    fn before(&self, at: usize) -> usize {
        let mut index = at;
        let mut sum: usize = 0;
        while index > 0 {
            sum = sum.wrapping_add(self.0[index]);
            index &= index - 1;
        }
        sum
    }
}

#[test]
fn edits_cost_the_logarithm_of_their_number_each_and_in_order_nothing_but_themselves() {
    let len = 64 * 1024;
    let bytes = vec![b'w'; len];
    let slices = [IoSlice::new(&bytes)];
    let log = len.ilog2() as usize;
    for (order, most) in std::iter::zip(orders(len), [2, 2, 3 * log, 3 * log]) {
        for is_push in [false, true] {
            let mut message = Message::new(&slices);
            let mut ticks = Ticks::new(len);
            for at in &order {
                let now = ticks.before(*at);
                assert_eq!(message.pull(now..=now), Ok(&b"w"[..]));
                match is_push {
                    true => message.push(now, b"p").expect("64 KiB may be pushed"),
                    false => message.pop(now..=now).expect("it is there"),
                }
                ticks.add(*at, if is_push { 1 } else { -1 });
            }
            let edited = message.edited.as_ref().expect("it was edited");
            // One for the write, one for its end.
            let pieces = edited.pieces();
            assert!(pieces <= order.len() + 2, "{pieces} pieces, {is_push}");
            let steps = edited.steps();
            assert!(
                steps <= most * order.len(),
                "{steps} steps, {most}, {is_push}"
            );
            let expected = if is_push { len + order.len() } else { len / 2 };
            assert_eq!(message.len(), expected);
            assert_eq!(message.slices().map(<[u8]>::len).sum::<usize>(), expected);
        }
    }
}

proptest! {
    #[test]
    fn many_edits_come_to_what_they_do_to_a_list_of_bytes(
        edits in proptest::collection::vec((any::<bool>(), any::<usize>(), 1usize..5), 0..300),
        applied in 0u64..40,
    ) {
        let written = [&b"0123456789"[..], b"abcdefghijklmnopqrstuvwxyz"];
        let slices = written.map(IoSlice::new);
        let mut message = Message::new(&slices);
        // Each byte, and how many of the writer's came before it.
        let bytes = b"0123456789abcdefghijklmnopqrstuvwxyz".iter().copied();
        let mut list: Vec<(u8, u64, bool)> =
            (0..).zip(bytes).map(|(behind, byte)| (byte, behind, true)).collect();
        for (is_push, at, len) in edits {
            let at = at % (list.len() + 1);
            if is_push {
                let behind = list.get(at).map_or(36, |(_, behind, _)| *behind);
                message.push(at, &b"++++"[..len]).expect("it is in the message");
                list.splice(at..at, vec![(b'+', behind, false); len]);
            } else if at + len <= list.len() {
                message.pop(at..at + len).expect("it is in the message");
                list.drain(at..at + len);
            }
            let now: Vec<u8> = list.iter().map(|(byte, ..)| *byte).collect();
            prop_assert_eq!(text(&message).into_bytes(), now.clone());
            let (start, end) = (at.min(len), at.min(list.len()));
            if start < end {
                prop_assert_eq!(message.pull(start..end), Ok(&now[start..end]));
            }
        }
        let covered = if applied == 0 { 36 } else { applied };
        let is_covered = |(_, behind, is_written): &&(u8, u64, bool)| match is_written {
            true => *behind < covered,
            false => *behind <= covered,
        };
        let expected: Vec<u8> = list.iter().filter(is_covered).map(|(byte, ..)| *byte).collect();
        message.apply_bytes(applied);
        if let Some(edited) = message.into_wishes(false).edited {
            prop_assert_eq!(edited, expected);
        }
    }
}
