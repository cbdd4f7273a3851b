//! Datagram buffers: they belong to the thread and are lent for the length of a call, so that an
//! idle association owns none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// The longest datagram, or train of datagrams, there is.
pub const LEN: usize = 1 << 16;

/// Buffers that a thread keeps when nobody uses them: one to seal into, one to receive.
const KEPT: usize = 2;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`LEN`] bytes, returned to the dropping thread. Its content is unspecified.
pub struct Lent(Box<[u8]>);

/// Borrows a buffer from the thread, or makes one.
pub fn lend() -> Lent {
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
