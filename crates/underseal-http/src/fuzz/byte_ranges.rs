//! Ranges of files.

use std::fmt::Write as _;
use std::ops::Range;

use crate::origin::multipart::Layout;
use crate::origin::range::{Wanted, parse};

/// Reads arbitrary bytes as the length of a file, and a `Range` that is asked of it.
///
/// Ranges lie within the file and are not empty, several are no more than the file, and all of them are
/// read again from what is written of them.
pub fn byte_ranges(data: &[u8]) {
    let Some((length, value)) = data.split_first_chunk::<8>() else {
        return;
    };
    // No file is longer than an offset in it can say.
    let length = u64::from_be_bytes(*length) >> 1;
    let wanted = parse(value, length);
    let ranges = match &wanted {
        Wanted::Whole | Wanted::Unsatisfiable => return,
        Wanted::One(range) => vec![range.clone()],
        Wanted::Many(ranges) => ranges.clone(),
    };
    let mut total = 0_u64;
    let mut written = String::from("bytes=");
    for Range { start, end } in &ranges {
        assert!(start < end && *end <= length, "{start} to {end}");
        total += end - start;
        let _ = write!(written, "{start}-{},", end - 1);
    }
    assert!(total <= length, "more than the file");
    assert_eq!(parse(written.as_bytes(), length), wanted);
    let layout = Layout::new(&ranges, "a/b", length);
    let preambles = layout.parts.iter().map(|part| part.preamble.len() as u64);
    let added = preambles.sum::<u64>() + layout.trailer.len() as u64;
    assert_eq!(layout.length(), total + added);
}
