//! Where the records of a batch lie whose plaintext is read from a file to where it is sealed. Each byte of it is read to
//! the same place of a page as it has in the file, and the first record ends where a page does.

pub(super) const PAGE: usize = 4096;

/// Room for what is in front of the plaintext of a record, and behind it.
const AROUND: usize = 64;

/// Where some plaintext is read to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) data: usize,
    pub(super) len: usize,
}

/// The places of the records of a batch, in order.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Where the first page begins, in memory.
    start: usize,
    /// Where the next record's first page begins, behind that.
    page: usize,
    /// The next byte's place in it.
    place: usize,
    /// Bytes that are to be read.
    left: usize,
    /// Most plaintext of a record.
    most: usize,
    /// How much of the next record's is there already.
    held: usize,
    /// Whether the next record is the first.
    is_first: bool,
}

impl Layout {
    /// For `left` bytes from `place` of a page on, in records of at most `most` bytes, the first of which begins with
    /// `held` others; in memory from `start` on, where a page begins.
    pub(super) fn new(start: usize, place: usize, left: usize, most: usize, held: usize) -> Self {
        Self {
            start,
            page: (held + AROUND).next_multiple_of(PAGE),
            place,
            left,
            most,
            held,
            is_first: true,
        }
    }

    /// How much memory that takes, wherever its first page begins.
    pub(super) fn room(self) -> usize {
        let last = self.last();
        last.map_or(0, |place| PAGE + place.data + place.len + AROUND)
    }
}

impl Iterator for Layout {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        if self.left == 0 {
            return None;
        }
        let mut len = (self.most - self.held).min(self.left);
        let behind_a_page = (self.place + len) % PAGE;
        // Those that follow begin with a page then, in whose midst they would begin all otherwise.
        if self.is_first && len < self.left && behind_a_page < len {
            len -= behind_a_page;
        }
        let data = self.page + self.place;
        self.place = (self.place + len) % PAGE;
        self.page = (data + len + AROUND).next_multiple_of(PAGE);
        self.left -= len;
        self.held = 0;
        self.is_first = false;
        let data = self.start + data;
        Some(Place { data, len })
    }
}
