//! Records that the socket did not take.

use std::collections::VecDeque;

use super::lent::{Lent, Record};

/// Ciphertext in order, with the ends of the records of data in it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// How much of it the socket has taken.
    sent: usize,
    /// The records that it has not taken wholly.
    records: VecDeque<Record>,
    /// Plaintext bytes of these.
    plaintext: usize,
    /// Where the last record ends that its writer takes for sent.
    owed: usize,
}

impl Pending {
    /// What was not taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Plaintext in records that were not taken wholly.
    pub(super) fn plaintext(&self) -> usize {
        self.plaintext
    }

    /// Ciphertext up to the end of the last record that its writer takes for sent.
    pub(super) fn owed(&self) -> usize {
        self.owed.saturating_sub(self.sent)
    }

    /// Keeps what is behind the first `sent` bytes of a batch. Nothing is pending before.
    pub(super) fn keep(&mut self, batch: &Lent, sent: usize) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&batch.bytes()[sent..]);
        self.sent = 0;
        self.owed = batch.owed().saturating_sub(sent);
        for record in batch.records_behind(sent) {
            self.plaintext += record.plaintext;
            self.records.push_back(Record {
                end: record.end - sent,
                plaintext: record.plaintext,
            });
        }
    }

    /// Adds a record that its writer takes for sent.
    pub(super) fn owe(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.owed = self.bytes.len();
    }

    /// The socket has taken `len` more bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.sent += len;
        while let Some(record) = self.records.front()
            && record.end <= self.sent
        {
            self.plaintext -= record.plaintext;
            self.records.pop_front();
        }
        if self.sent == self.bytes.len() {
            // A connection without anything pending owns no buffer.
            self.bytes = Vec::new();
            self.records = VecDeque::new();
            self.sent = 0;
            self.owed = 0;
        }
    }
}
