//! Bodies of type `multipart/byteranges` (RFC 9110, section 14.6).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::ops::Range;

/// A multipart body, laid out: every byte of it but those of the file.
#[derive(Debug)]
pub struct Layout {
    boundary: String,
    /// The ranges, in the order in which they are sent.
    pub parts: Vec<Part>,
    /// What is sent behind the last of them.
    pub trailer: Vec<u8>,
}

/// One range with the bytes that go before it.
#[derive(Debug)]
pub struct Part {
    /// The boundary and the fields of the part.
    pub preamble: Vec<u8>,
    /// What of the file is sent behind it.
    pub range: Range<u64>,
}

impl Layout {
    /// Lays out `ranges` of a file of `media_type` and `length` bytes.
    pub fn new(ranges: &[Range<u64>], media_type: &str, length: u64) -> Self {
        let boundary = boundary();
        let parts = ranges
            .iter()
            .map(|range| Part {
                preamble: format!(
                    "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {}\r\n\r\n",
                    content_range(range, length)
                )
                .into_bytes(),
                range: range.clone(),
            })
            .collect();
        let trailer = format!("\r\n--{boundary}--\r\n").into_bytes();
        Self {
            boundary,
            parts,
            trailer,
        }
    }

    /// The value of the `Content-Type` field.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Bytes of the whole body.
    pub fn length(&self) -> u64 {
        let parts: u64 = self
            .parts
            .iter()
            .map(|part| part.preamble.len() as u64 + (part.range.end - part.range.start))
            .sum();
        parts + self.trailer.len() as u64
    }
}

/// The value of a `Content-Range` field.
pub fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

/// 128 bits that no one can predict, so that no file can be made to hold its own boundary. The
/// standard library seeds each `RandomState` from the system's generator.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("underseal-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_every_byte_of_the_layout() {
        let layout = Layout::new(&[0..1, 5..9], "text/plain", 10);
        let first = &layout.parts[0].preamble;
        let text = String::from_utf8_lossy(first);
        assert!(
            text.contains("Content-Range: bytes 0-0/10\r\n\r\n"),
            "{text}"
        );
        let preambles: usize = layout.parts.iter().map(|part| part.preamble.len()).sum();
        assert_eq!(
            layout.length(),
            (preambles + 1 + 4 + layout.trailer.len()) as u64
        );
    }

    #[test]
    fn boundaries_differ() {
        assert_ne!(boundary(), boundary());
    }
}
