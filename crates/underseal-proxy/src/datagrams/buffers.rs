//! Buffers for datagrams: they belong to the thread and are lent while one passes, so that a client who
//! sends nothing owns none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::MAX_DATAGRAM;

/// Buffers that a worker keeps when nobody uses them.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer for the longest datagram. Its content is unspecified.
pub(super) struct Lent(Box<[u8]>);

/// Borrows a buffer from the thread, or makes one.
pub(super) fn lend() -> Lent {
    let free = FREE.with_borrow_mut(Vec::pop);
    Lent(free.unwrap_or_else(|| vec![0; MAX_DATAGRAM].into_boxed_slice()))
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
