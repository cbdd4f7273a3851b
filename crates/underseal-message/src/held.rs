/// Bytes that are kept between two calls. Empty, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// Bytes at the front that are gone.
    start: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn extend<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) {
        // What is gone is at most as long as what was held, so this is amortised.
        self.bytes.drain(..self.start);
        self.start = 0;
        slices.for_each(|slice| self.bytes.extend_from_slice(slice));
    }

    /// Leaves the first `len` bytes behind.
    pub(crate) fn consume(&mut self, len: usize) {
        assert!(len <= self.len(), "consumed more than is held");
        self.start += len;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

impl From<Vec<u8>> for Held {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}
