//! Bodies of type `multipart/byteranges` (RFC 9110, section 14.6).

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::ops::Range;
use std::rc::Rc;

/// A multipart body that has been laid out and not been given its file yet.
#[derive(Debug)]
pub(crate) struct Layout {
    boundary: String,
    parts: Vec<Part>,
    trailer: Vec<u8>,
}

/// One range with the bytes that go before it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) preamble: Vec<u8>,
    pub(crate) range: Range<u64>,
}

/// A multipart body ready to be sent.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) file: Rc<File>,
    pub(crate) parts: Vec<Part>,
    pub(crate) trailer: Vec<u8>,
}

impl Layout {
    /// Lays out `ranges` of a file of `media_type` and `length` bytes.
    pub(crate) fn new(ranges: &[Range<u64>], media_type: &str, length: u64) -> Self {
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
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Bytes of the whole body.
    pub(crate) fn length(&self) -> u64 {
        let parts: u64 = self
            .parts
            .iter()
            .map(|part| part.preamble.len() as u64 + (part.range.end - part.range.start))
            .sum();
        parts + self.trailer.len() as u64
    }

    /// Gives the layout the file it was made for.
    pub(crate) fn with_file(self, file: Rc<File>) -> Parts {
        Parts {
            file,
            parts: self.parts,
            trailer: self.trailer,
        }
    }
}

/// The value of a `Content-Range` field.
pub(crate) fn content_range(range: &Range<u64>, length: u64) -> String {
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
