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
        // Moving no more than what is gone: or a window that goes on by one byte would be moved
        // for each.
        if self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_goes_on_is_not_moved_for_each_byte() {
        let mut held = Held::from(vec![0; 4096]);
        let (mut moved, steps) = (0, 64 * 1024);
        for _ in 0..steps {
            held.consume(1);
            let gone = held.start;
            held.extend([&[1][..]].into_iter());
            moved += if held.start < gone { held.len() } else { 0 };
        }
        assert!(moved <= 2 * steps, "{moved} bytes moved");
        assert_eq!(held.bytes(), [1; 4096]);
    }
}
