//! The buffer of a batch, which belongs to a thread and is lent to a connection for one call.

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
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len + len;
        if self.bytes.len() < end {
            self.bytes.resize(end.max(2 * self.bytes.len()), 0);
        }
        &mut self.bytes[self.len..end]
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
