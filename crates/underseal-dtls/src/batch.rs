use std::fmt;
use std::ops::Range;

use crate::buffers::LEN;

/// Payloads that one call received, in a buffer of 64 KiB that is used again and again.
pub struct Batch {
    buffer: Box<[u8]>,
    payloads: Vec<Range<usize>>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; LEN].into_boxed_slice(),
            payloads: Vec::new(),
        }
    }

    /// How many payloads there are.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// The payloads, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.payloads
            .iter()
            .map(|place| &self.buffer[place.clone()])
    }

    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
    }

    /// All of the buffer, for datagrams.
    pub(crate) fn all(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The datagrams at its front, and the places of their payloads.
    pub(crate) fn received(&mut self, len: usize) -> (&mut [u8], &mut Vec<Range<usize>>) {
        (&mut self.buffer[..len], &mut self.payloads)
    }

    /// What is left behind the last payload, if it has room for any.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        let start = self.end();
        let room = &mut self.buffer[start..];
        (room.len() >= underseal_record::MAX_PLAINTEXT).then_some(room)
    }

    /// Adds the `len` bytes that were written to [`room`](Self::room).
    pub(crate) fn add(&mut self, len: usize) {
        let start = self.end();
        self.payloads.push(start..start + len);
    }

    fn end(&self) -> usize {
        self.payloads.last().map_or(0, |last| last.end)
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("payloads", &self.payloads.len())
            .finish_non_exhaustive()
    }
}
