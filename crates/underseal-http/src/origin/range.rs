//! The `Range` field (RFC 9110, section 14).

use std::ops::Range;

/// More ranges than this in one request are an attack or a mistake; the whole file is sent.
const MAX_RANGES: usize = 32;

/// What a `Range` field asks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The field is to be ignored: other unit, malformed, or more than the file is worth.
    Whole,
    /// One range, not empty.
    One(Range<u64>),
    /// Several, in the order asked for, each not empty.
    Many(Vec<Range<u64>>),
    /// No range overlaps the file.
    Unsatisfiable,
}

/// Reads the value of a `Range` field for a file of `length` bytes.
pub fn parse(value: &[u8], length: u64) -> Wanted {
    match specs(value, length) {
        None => Wanted::Whole,
        Some(mut ranges) => match ranges.len() {
            0 => Wanted::Unsatisfiable,
            1 => Wanted::One(ranges.swap_remove(0)),
            _ if costs_more_than_file(&ranges, length) => Wanted::Whole,
            _ => Wanted::Many(ranges),
        },
    }
}

/// Overlapping ranges would let a small request fetch the file many times over.
fn costs_more_than_file(ranges: &[Range<u64>], length: u64) -> bool {
    let total: u64 = ranges
        .iter()
        .fold(0, |sum, range| sum.saturating_add(range.end - range.start));
    total > length
}

/// The satisfiable ranges; `None` if the field is not one that can be acted upon.
fn specs(value: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    let mut seen = 0;
    for spec in set
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
    {
        seen += 1;
        if seen > MAX_RANGES {
            return None;
        }
        ranges.extend(one(spec, length)?);
    }
    (seen > 0).then_some(ranges)
}

/// `Some(None)` is well-formed and beyond the file.
fn one(spec: &str, length: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some((suffix > 0).then(|| length - suffix..length));
    }
    let start = number(first)?;
    let end = match last {
        "" => length,
        _ => {
            let last = number(last)?;
            if last < start {
                return None;
            }
            last.saturating_add(1).min(length)
        }
    };
    Some((start < end).then_some(start..end))
}

/// Digits only: `str::parse` would also take a plus sign. Beyond `u64` is beyond any file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_ranges_of_a_thousand_bytes() {
        for (value, expected) in [
            ("bytes=0-0", Wanted::One(0..1)),
            ("bytes=0-", Wanted::One(0..1000)),
            ("bytes=999-", Wanted::One(999..1000)),
            ("bytes=-1", Wanted::One(999..1000)),
            ("bytes=-5000", Wanted::One(0..1000)),
            ("bytes=10-99999999999999999999999", Wanted::One(10..1000)),
            ("Bytes = 1-2 ,", Wanted::One(1..3)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=1000-,0-0", Wanted::One(0..1)),
        ] {
            assert_eq!(parse(value.as_bytes(), 1000), expected, "{value}");
        }
    }

    #[test]
    fn what_is_malformed_or_of_another_unit_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=2-1",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=0-1;2",
            "bytes=1--2",
        ] {
            assert_eq!(parse(value.as_bytes(), 1000), Wanted::Whole, "{value}");
        }
        assert_eq!(parse(b"bytes=\xff-", 1000), Wanted::Whole);
    }

    #[test]
    fn several_ranges_keep_their_order() {
        assert_eq!(parse(b"bytes=5-6, 0-1", 10), Wanted::Many(vec![5..7, 0..2]));
    }

    #[test]
    fn too_many_or_overlapping_ranges_get_the_whole_file() {
        let many = format!("bytes={}", "0-0,".repeat(MAX_RANGES + 1));
        assert_eq!(parse(many.as_bytes(), 1000), Wanted::Whole);
        assert_eq!(parse(b"bytes=0-,0-", 1000), Wanted::Whole);
    }

    #[test]
    fn an_empty_file_satisfies_nothing() {
        assert_eq!(parse(b"bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(parse(b"bytes=-1", 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn ranges_lie_within_the_file(value in "bytes=([0-9]{0,3}-[0-9]{0,3},?){0,5}", length in 0u64..500) {
            let ranges = match parse(value.as_bytes(), length) {
                Wanted::One(range) => vec![range],
                Wanted::Many(ranges) => ranges,
                _ => vec![],
            };
            for range in ranges {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
