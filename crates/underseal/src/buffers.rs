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

/// Bytes of a lent buffer: a batch sealed under either version, and room for a partial record
/// before it or a KeyUpdate in it.
pub(crate) const LEN: usize = BATCH + 2 * MAX_RECORD;

/// Buffers that a thread keeps when nobody uses them: one to send, one to receive.
const KEPT: usize = 2;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`LEN`] bytes, returned to the dropping thread. Its content is unspecified.
pub(crate) struct Lent(Box<[u8]>);

/// Borrows a buffer from the thread, or makes one.
pub(crate) fn lend() -> Lent {
    let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    Lent(free.unwrap_or_else(|| vec![0; LEN].into_boxed_slice()))
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
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
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Bytes that outlive a call.
#[derive(Default)]
pub(crate) enum Residue {
    #[default]
    Empty,
    Copied(Box<[u8]>, Range<usize>),
    Kept(Lent, Range<usize>),
}

impl Residue {
    /// Keeps `range` of `buffer`: copied if it is at most `copied` bytes, so that the buffer goes
    /// back to the thread, in the buffer otherwise.
    pub(crate) fn new(buffer: Lent, range: Range<usize>, copied: usize) -> Self {
        match range.len() {
            0 => Self::Empty,
            len if len <= copied => Self::copy_of(&buffer[range]),
            _ => Self::Kept(buffer, range),
        }
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        match bytes.len() {
            0 => Self::Empty,
            len => Self::Copied(bytes.into(), 0..len),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Copied(buffer, range) => &buffer[range.clone()],
            Self::Kept(buffer, range) => &buffer[range.clone()],
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Empty => &mut [],
            Self::Copied(buffer, range) => &mut buffer[range.clone()],
            Self::Kept(buffer, range) => &mut buffer[range.clone()],
        }
    }

    /// Drops the first `n` bytes, and the allocation with the last of them.
    pub(crate) fn advance(&mut self, n: usize) {
        match self {
            Self::Empty => {}
            Self::Copied(_, range) | Self::Kept(_, range) => {
                range.start += n;
                if range.start >= range.end {
                    *self = Self::Empty;
                }
            }
        }
    }

    /// Gives a lent buffer back if at most `copied` bytes are left in it.
    pub(crate) fn settle(&mut self, copied: usize) {
        if let Self::Kept(buffer, range) = self
            && range.len() <= copied
        {
            *self = Self::copy_of(&buffer[range.clone()]);
        }
    }

    /// The bytes at the front of a lent buffer, with room behind them, and how many they are.
    pub(crate) fn into_lent(self) -> (Lent, usize) {
        match self {
            Self::Kept(mut buffer, range) => {
                let len = range.len();
                buffer.copy_within(range, 0);
                (buffer, len)
            }
            other => {
                let bytes = other.bytes();
                let mut buffer = lend();
                buffer[..bytes.len()].copy_from_slice(bytes);
                (buffer, bytes.len())
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
    fn a_thread_keeps_few_buffers() {
        drop((0..5).map(|_| lend()).collect::<Vec<_>>());
        assert_eq!(free(), KEPT);
    }
}
