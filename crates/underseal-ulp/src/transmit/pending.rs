//! Records that the socket did not take.

use std::collections::VecDeque;

use rustix::io::Errno;

use super::lent::{Lent, Record};

/// Ciphertext in order, with the ends of the records of data in it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// How many bytes of it there are; what is behind them is room.
    len: usize,
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
        &self.bytes[self.sent..self.len]
    }

    /// Plaintext in records that were not taken wholly.
    pub(super) fn plaintext(&self) -> usize {
        self.plaintext
    }

    /// Ciphertext up to the end of the last record that its writer takes for sent.
    pub(super) fn owed(&self) -> usize {
        self.owed.saturating_sub(self.sent)
    }

    /// Keeps what is behind the first `sent` bytes of a batch. Nothing is pending before. It cannot fail: these
    /// records are sealed, and cannot be sealed again.
    pub(super) fn keep(&mut self, batch: &mut Lent, sent: usize) {
        self.owed = batch.owed().saturating_sub(sent);
        self.bytes.clear();
        self.sent = 0;
        self.len = batch.len() - sent;
        match self.bytes.try_reserve_exact(self.len) {
            Ok(()) => {
                let pieces = batch.behind(sent);
                pieces.for_each(|piece| self.bytes.extend_from_slice(piece));
            }
            // The batch's own buffer is there.
            Err(_) => self.bytes = batch.take_bytes(sent),
        }
        self.keep_records(batch, sent);
    }

    /// The same of the records' ends.
    fn keep_records(&mut self, batch: &mut Lent, sent: usize) {
        let left = batch.records_behind(sent);
        self.plaintext += left.iter().map(|record| record.plaintext).sum::<usize>();
        let moved = |record: &Record| record.without(sent);
        self.records.clear();
        match self.records.try_reserve(left.len()) {
            Ok(()) => self.records.extend(left.iter().map(moved)),
            Err(_) => {
                let mut all = batch.take_records();
                all.retain(|record| record.end > sent);
                all.iter_mut().for_each(|record| *record = moved(record));
                self.records = all.into();
            }
        }
    }

    /// Room for a record behind what is pending, which [`owe`](Self::owe) makes a part of it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn room(&mut self, len: usize) -> Result<&mut [u8], Errno> {
        self.bytes.truncate(self.len);
        self.bytes.try_reserve(len).map_err(|_| Errno::NOMEM)?;
        self.bytes.resize(self.len + len, 0);
        Ok(&mut self.bytes[self.len..])
    }

    /// Adds the record of `len` bytes that was written to the room, which its writer takes for sent.
    pub(super) fn owe(&mut self, len: usize) {
        self.len += len;
        self.owed = self.len;
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
        if self.sent == self.len {
            // A connection without anything pending owns no buffer.
            *self = Self::default();
        }
    }
}
