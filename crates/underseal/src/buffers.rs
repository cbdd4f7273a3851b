//! Record buffers: they belong to the thread and are lent for the length of a call.
//!
//! An idle connection owns none. What a call leaves behind (ciphertext that the socket would not
//! take, half a record that arrived, plaintext not yet read) is a [`Residue`]: it is copied into
//! an allocation of its own size if it is small, and keeps the lent buffer if it is large.
//!
//! Buffers are not overwritten when they are given back: like the application's own buffers they
//! may hold plaintext of the thread's last connections.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};

use underseal_record::MAX_RECORD;

/// Plaintext bytes that one send carries at most: 16 full records.
pub(crate) const BATCH: usize = 256 * 1024;

/// Lent buffers start at a page, and so does what the kernel copies into them: a copy out of the
/// page cache to an odd address takes up to four times as long (measured on Zen 4).
const ALIGNMENT: usize = 4096;

/// Bytes before the place where ciphertext is received: a partial record that is there already
/// ends where the next bytes go.
pub(crate) const HEADROOM: usize = MAX_RECORD.next_multiple_of(ALIGNMENT);

/// Bytes of a lent buffer: the headroom, and a batch sealed under either version with a KeyUpdate
/// in it.
pub(crate) const LEN: usize = HEADROOM + BATCH + MAX_RECORD;

/// Buffers that a thread keeps when nobody uses them: one to send from, one to seal into, one to
/// receive.
const KEPT: usize = 3;

/// A buffer, and what its start may be off a page. Of a fixed length, so that an idle connection, which
/// has room for two [`Residue`]s, has none for it.
type Allocation = [u8; LEN + ALIGNMENT];

thread_local! {
    static FREE: RefCell<Vec<Box<Allocation>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`LEN`] bytes that starts at a page, returned to the dropping thread. Its content
/// is unspecified.
pub(crate) struct Lent {
    /// `None` while it is dropped.
    allocation: Option<Box<Allocation>>,
    start: u16,
}

/// Borrows a buffer from the thread, or makes one.
pub(crate) fn lend() -> Lent {
    let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    let allocation = free.unwrap_or_else(|| {
        // Not by way of the stack, as an array that is boxed.
        let zeros = vec![0; LEN + ALIGNMENT].into_boxed_slice();
        zeros.try_into().expect("it has that length")
    });
    let start = allocation.as_ptr().align_offset(ALIGNMENT);
    // The offset may be unknown in principle; the buffer works all the same, only slower.
    let start = start.min(ALIGNMENT) as u16;
    Lent {
        allocation: Some(allocation),
        start,
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(buffer) = self.allocation.take() else {
            return;
        };
        // A thread that is shutting down has no pool any more; the buffer is freed then.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.allocation {
            Some(allocation) => &allocation[usize::from(self.start)..][..LEN],
            None => &[],
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.allocation {
            Some(allocation) => &mut allocation[usize::from(self.start)..][..LEN],
            None => &mut [],
        }
    }
}

/// Bytes that outlive a call. Small, because every idle connection has two of them.
#[derive(Default)]
pub(crate) enum Residue {
    #[default]
    Empty,
    /// What is left from here on of what was copied.
    Copied(Vec<u8>, u32),
    Kept(Lent, Range<u32>),
}

impl Residue {
    /// Keeps `range` of `buffer`: copied if it is at most `copied` bytes, so that the buffer goes
    /// back to the thread, in the buffer otherwise.
    pub(crate) fn new(buffer: Lent, range: Range<usize>, copied: usize) -> Self {
        match range.len() {
            0 => Self::Empty,
            len if len <= copied => Self::copy_of(&buffer[range]),
            // A lent buffer is shorter than 4 GiB.
            _ => Self::Kept(buffer, range.start as u32..range.end as u32),
        }
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        match bytes.len() {
            0 => Self::Empty,
            _ => Self::Copied(bytes.to_vec(), 0),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Copied(bytes, start) => &bytes[*start as usize..],
            Self::Kept(buffer, range) => &buffer[range.start as usize..range.end as usize],
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Empty => &mut [],
            Self::Copied(bytes, start) => &mut bytes[*start as usize..],
            Self::Kept(buffer, range) => &mut buffer[range.start as usize..range.end as usize],
        }
    }

    /// Puts `bytes` before what is there: in place where bytes that are gone left room, by a copy
    /// of all where they did not.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        let len = bytes.len() as u32;
        match self {
            Self::Copied(all, start) if *start >= len => {
                all[(*start - len) as usize..*start as usize].copy_from_slice(bytes);
                *start -= len;
            }
            Self::Kept(buffer, range) if range.start >= len => {
                buffer[(range.start - len) as usize..range.start as usize].copy_from_slice(bytes);
                range.start -= len;
            }
            _ => *self = Self::copy_of(&[bytes, self.bytes()].concat()),
        }
    }

    /// Puts `bytes` behind what is there. Each byte is copied a bounded number of times: room is made
    /// for as much again, and bytes that are gone go when they are more than those that are left.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        match self {
            Self::Empty => *self = Self::copy_of(bytes),
            Self::Copied(all, start) => {
                let gone = *start as usize;
                if gone > all.len() - gone {
                    all.drain(..gone);
                    *start = 0;
                }
                all.extend_from_slice(bytes);
            }
            Self::Kept(buffer, range) if buffer.len() - range.end as usize >= bytes.len() => {
                let end = range.end as usize;
                buffer[end..end + bytes.len()].copy_from_slice(bytes);
                range.end += bytes.len() as u32;
            }
            Self::Kept(..) => {
                let mut all = Vec::with_capacity(self.bytes().len() + bytes.len());
                all.extend_from_slice(self.bytes());
                all.extend_from_slice(bytes);
                *self = Self::Copied(all, 0);
            }
        }
    }

    /// Drops the first `n` bytes, at most all, and the allocation with the last of them.
    pub(crate) fn advance(&mut self, n: usize) {
        let left = self.bytes().len().saturating_sub(n);
        match self {
            _ if left == 0 => *self = Self::Empty,
            Self::Empty => {}
            // Nothing that a connection holds comes near 4 GiB.
            Self::Copied(_, start) => *start += n as u32,
            Self::Kept(_, range) => range.start += n as u32,
        }
    }

    /// Gives a lent buffer back if at most `copied` bytes are left in it.
    pub(crate) fn settle(&mut self, copied: usize) {
        if matches!(self, Self::Kept(..)) && self.bytes().len() <= copied {
            *self = Self::copy_of(self.bytes());
        }
    }

    /// The bytes in a lent buffer, and where they are in it: there may be room behind them.
    pub(crate) fn into_lent(self) -> (Lent, Range<usize>) {
        match self {
            Self::Kept(buffer, range) => (buffer, range.start as usize..range.end as usize),
            other => {
                let mut buffer = lend();
                let len = other.bytes().len();
                buffer[..len].copy_from_slice(other.bytes());
                (buffer, 0..len)
            }
        }
    }

    /// The bytes in a lent buffer, right before [`HEADROOM`], and where they start. They must be
    /// less than one record.
    pub(crate) fn into_headroom(self) -> (Lent, usize) {
        match self {
            Self::Kept(mut buffer, range) => {
                let range = range.start as usize..range.end as usize;
                let start = HEADROOM - range.len();
                buffer.copy_within(range, start);
                (buffer, start)
            }
            other => {
                let bytes = other.bytes();
                let start = HEADROOM - bytes.len();
                let mut buffer = lend();
                buffer[start..HEADROOM].copy_from_slice(bytes);
                (buffer, start)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> usize {
        FREE.with(|free| free.borrow().len())
    }

    #[test]
    fn a_small_residue_gives_the_buffer_back() {
        let mut buffer = lend();
        buffer[10..14].copy_from_slice(b"rest");
        let before = free();
        let mut residue = Residue::new(buffer, 10..14, 4);
        assert_eq!(free(), before + 1);
        assert_eq!(residue.bytes(), b"rest");
        residue.advance(4);
        assert!(matches!(residue, Residue::Empty));
    }

    #[test]
    fn a_large_residue_keeps_the_buffer_until_it_is_drained() {
        let before = free();
        let mut residue = Residue::new(lend(), 0..LEN, LEN - 1);
        assert_eq!(free(), before);
        residue.advance(LEN);
        assert_eq!(free(), before + 1);
    }

    #[test]
    fn bytes_are_put_back_where_others_were_or_by_a_copy() {
        let mut buffer = lend();
        buffer[10..16].copy_from_slice(b"abcdef");
        for mut residue in [Residue::new(buffer, 10..16, 0), Residue::copy_of(b"abcdef")] {
            residue.advance(4);
            residue.put_back(b"xyz");
            assert_eq!(residue.bytes(), b"xyzef");
            residue.put_back(&[b'-'; 20]);
            assert_eq!(residue.bytes(), b"--------------------xyzef");
        }
        let mut residue = Residue::Empty;
        residue.put_back(b"a");
        assert_eq!(residue.bytes(), b"a");
        residue.put_back(b"");
        assert_eq!(residue.bytes(), b"a");
    }

    #[test]
    fn what_is_appended_is_not_copied_with_all_that_is_there_each_time() {
        let (mut residue, mut all, mut moves, mut place) = (Residue::Empty, Vec::new(), 0, 0);
        for n in 0..10_000_u32 {
            residue.append(&n.to_be_bytes());
            all.extend_from_slice(&n.to_be_bytes());
            let now = residue.bytes().as_ptr().addr();
            moves += u32::from(now != place);
            place = now;
        }
        assert_eq!(residue.bytes(), all);
        assert!(moves < 20, "{moves} copies of all");
        residue.advance(39_990);
        residue.append(b"tail");
        assert_eq!(residue.bytes(), [&all[39_990..], b"tail"].concat());

        let mut kept = Residue::new(lend(), 0..LEN - 6, 0);
        kept.append(b"behind");
        assert!(matches!(kept, Residue::Kept(..)));
        kept.append(b"no room");
        assert!(kept.bytes().ends_with(b"behindno room"));
    }

    #[test]
    fn a_thread_keeps_few_buffers() {
        drop((0..5).map(|_| lend()).collect::<Vec<_>>());
        assert_eq!(free(), KEPT);
    }
}
