//! Buffers at page boundaries.

use std::ops::{Deref, DerefMut};

/// Bytes that begin at a page boundary.
///
/// The kernel copies with `rep movsb`, whose speed on some CPUs depends on how source and
/// destination lie to each other. What malloc gives out lies 16 bytes behind a boundary; where an
/// application's buffer lies is no property of the TLS below it, so every row gets the best place.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

const PAGE: usize = 4096;

impl Aligned {
    /// `len` bytes of `value`.
    pub fn filled(value: u8, len: usize) -> Self {
        let bytes = vec![value; len + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes, start, len }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_page() {
        for len in [0, 1, 100_000] {
            let mut buffer = Aligned::filled(7, len);
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(PAGE)), (len, 0));
            buffer.fill(8);
            assert!(buffer.iter().all(|byte| *byte == 8));
        }
    }
}
