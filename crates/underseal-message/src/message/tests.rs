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

fn replace(message: &mut Message<'_>, range: std::ops::Range<usize>) {
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
