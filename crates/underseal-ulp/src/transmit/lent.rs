//! The buffer of a batch, which belongs to a thread and is lent to a connection for one call.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;

use rustix::io::Errno;

use super::layout::Place;

/// Most pieces that are given to a socket at once.
pub(super) const PIECES: usize = 20;

/// A buffer for what is read grows to a multiple of this: batches differ by a few pages.
const STEP: usize = 16 * 1024;

/// Where a record ends in the stream of ciphertext, where it lies, and how much plaintext is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) end: usize,
    pub(super) plaintext: usize,
    start: usize,
    len: usize,
}

impl Record {
    /// The same record where the first `sent` bytes of the stream are gone.
    pub(super) fn without(self, sent: usize) -> Self {
        Self {
            end: self.end - sent,
            ..self
        }
    }

    /// Where it lies, but for what is in front of `sent` in the stream.
    fn range_behind(&self, sent: usize) -> Range<usize> {
        let skipped = sent.saturating_sub(self.end - self.len);
        self.start + skipped..self.start + self.len
    }
}

/// Room for a batch of records, which lie one behind another or where their plaintext was read to. It grows to what
/// one batch takes. Nothing of it is sent but records.
#[derive(Debug, Default)]
pub struct Lent {
    bytes: Vec<u8>,
    /// Where the last record ends in it.
    top: usize,
    /// Ciphertext of all records.
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
            top: 0,
            len: 0,
            records: Vec::new(),
            plaintext: 0,
            owed: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.top = 0;
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
        let end = self.top + len;
        self.grow(end, 2 * self.bytes.len())?;
        self.reserve_records(1)?;
        Ok(&mut self.bytes[self.top..end])
    }

    /// Has as many bytes, and where to note so many records more: all that a batch takes.
    ///
    /// # Errors
    ///
    /// As [`room`](Self::room).
    pub(super) fn reserve(&mut self, end: usize, records: usize) -> Result<(), Errno> {
        self.grow(end, end.next_multiple_of(STEP))?;
        self.reserve_records(records)
    }

    fn reserve_records(&mut self, records: usize) -> Result<(), Errno> {
        let reserved = self.records.try_reserve(records);
        reserved.map_err(|_| Errno::NOMEM)
    }

    /// Has `least` bytes; as many as `better` says, if it has to grow for that and there is memory.
    fn grow(&mut self, least: usize, better: usize) -> Result<(), Errno> {
        let before = self.bytes.len();
        if before >= least {
            return Ok(());
        }
        let better = better.max(least);
        let bytes = &mut self.bytes;
        let larger = match bytes.try_reserve_exact(better - before) {
            Ok(()) => better,
            Err(_) => {
                let exact = bytes.try_reserve_exact(least - before);
                exact.map_err(|_| Errno::NOMEM)?;
                least
            }
        };
        bytes.resize(larger, 0);
        Ok(())
    }

    /// The first byte whose address is a multiple of `alignment`.
    pub(super) fn first_aligned(&self, alignment: usize) -> usize {
        self.bytes.as_ptr().align_offset(alignment).min(alignment)
    }

    /// The places that plaintext is read to, in order.
    pub(super) fn rooms<'a>(&'a mut self, places: &[Place], rooms: &mut [IoSliceMut<'a>]) {
        let (mut rest, mut at) = (&mut self.bytes[..], 0);
        for (place, room) in places.iter().zip(rooms) {
            let (_, behind) = std::mem::take(&mut rest).split_at_mut(place.data - at);
            let (data, behind) = behind.split_at_mut(place.len);
            *room = IoSliceMut::new(data);
            (rest, at) = (behind, place.data + place.len);
        }
    }

    /// Everything from `start` on, where a record is to begin.
    pub(super) fn room_from(&mut self, start: usize) -> &mut [u8] {
        self.top = start;
        &mut self.bytes[start..]
    }

    /// The record that was written to the room.
    pub(super) fn commit(&mut self, plaintext: usize, written: usize) {
        let start = self.top;
        self.top += written;
        self.len += written;
        self.plaintext += plaintext;
        self.records.push(Record {
            end: self.len,
            plaintext,
            start,
            len: written,
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

    /// Ciphertext of all records.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What the records are, but for their first `sent` bytes: a piece of each.
    pub(super) fn behind(&self, sent: usize) -> impl Iterator<Item = &[u8]> {
        self.ranges(sent).map(|range| &self.bytes[range])
    }

    fn ranges(&self, sent: usize) -> impl Iterator<Item = Range<usize>> {
        let records = self.records_behind(sent).iter();
        records.map(move |record| record.range_behind(sent))
    }

    /// The same in as few pieces as it lies in, as far as there is room for them. Returns how many there are.
    pub(super) fn pieces<'a>(&'a self, sent: usize, pieces: &mut [IoSlice<'a>; PIECES]) -> usize {
        let mut ranges = self.ranges(sent).peekable();
        let mut count = 0;
        while count < PIECES
            && let Some(mut range) = ranges.next()
        {
            while let Some(next) = ranges.next_if(|next| next.start == range.end) {
                range.end = next.end;
            }
            pieces[count] = IoSlice::new(&self.bytes[range]);
            count += 1;
        }
        count
    }

    /// The bytes from `sent` on in the buffer itself, for whoever cannot have a copy.
    pub(super) fn take_bytes(&mut self, sent: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut len = 0;
        for range in self.ranges(sent) {
            let moved = range.len();
            bytes.copy_within(range, len);
            len += moved;
        }
        bytes.truncate(len);
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
