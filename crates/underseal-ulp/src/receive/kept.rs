//! A record that was opened, and that no caller has taken wholly.

use std::ops::Range;

use underseal_record::ContentType;

/// Plaintext, in the place where it was opened.
pub(super) struct Kept {
    pub(super) content_type: ContentType,
    record: Vec<u8>,
    rest: Range<usize>,
}

impl Kept {
    /// What lies at `rest` in `record`.
    pub(super) fn new(content_type: ContentType, record: Vec<u8>, rest: Range<usize>) -> Self {
        Self {
            content_type,
            record,
            rest,
        }
    }

    /// What was not taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.record[self.rest.clone()]
    }

    /// A caller has taken `len` more bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.rest.start += len;
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("content_type", &self.content_type)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
