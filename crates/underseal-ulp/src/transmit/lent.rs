//! The buffer of a batch, which belongs to a thread and is lent to a connection for one call.

use rustix::io::Errno;

/// Where a record ends, and how much plaintext lies in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) end: usize,
    pub(super) plaintext: usize,
}

/// Room for a batch of records. It grows to what one batch takes, and never holds plaintext.
#[derive(Debug, Default)]
pub struct Lent {
    bytes: Vec<u8>,
    len: usize,
    records: Vec<Record>,
    plaintext: usize,
    /// Where the last record ends that its writer takes for sent.
    owed: usize,
}

impl Lent {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            len: 0,
            records: Vec::new(),
            plaintext: 0,
            owed: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.plaintext = 0;
        self.owed = 0;
        self.records.clear();
    }

    /// Room for a record behind those that are there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: a program that is short of memory goes on with what there is.
    pub(super) fn room(&mut self, len: usize) -> Result<&mut [u8], Errno> {
        let end = self.len + len;
        self.records.try_reserve(1).map_err(|_| Errno::NOMEM)?;
        if self.bytes.len() < end {
            let before = self.bytes.len();
            let doubled = end.max(2 * before);
            let bytes = &mut self.bytes;
            let larger = match bytes.try_reserve_exact(doubled - before) {
                Ok(()) => doubled,
                Err(_) => {
                    let exact = bytes.try_reserve_exact(end - before);
                    exact.map_err(|_| Errno::NOMEM)?;
                    end
                }
            };
            bytes.resize(larger, 0);
        }
        Ok(&mut self.bytes[self.len..end])
    }

    /// The record that was written to the room.
    pub(super) fn commit(&mut self, plaintext: usize, written: usize) {
        self.len += written;
        self.plaintext += plaintext;
        self.records.push(Record {
            end: self.len,
            plaintext,
        });
    }

    /// Marks the last record as one that its writer takes for sent.
    pub(super) fn owe(&mut self) {
        self.owed = self.len;
    }

    /// Where the last of these ends.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The bytes from `start` on in the buffer itself, for whoever cannot have a copy.
    pub(super) fn take_bytes(&mut self, start: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        bytes.drain(..start);
        self.len = 0;
        bytes
    }

    /// The records' ends, for whoever cannot have a copy.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Plaintext bytes of all records.
    pub(super) fn plaintext(&self) -> usize {
        self.plaintext
    }

    /// The records that are not wholly among the first `sent` bytes.
    pub(super) fn records_behind(&self, sent: usize) -> &[Record] {
        let first = self.records.partition_point(|record| record.end <= sent);
        &self.records[first..]
    }
}
