//! Buffers of a worker, lent to the connection that has something to say.

use std::cell::RefCell;

/// Most buffers kept: a proxy's exchange holds three until its backend has answered, and a worker
/// has a hundred of them under way at times.
const KEEP: usize = 320;
/// Buffers that grew beyond this many bytes (listings) are not kept.
const KEEP_CAPACITY: usize = 64 * 1024;

/// Empty buffers with capacity. A connection takes one for the length of an exchange and owns
/// none while it is idle.
#[derive(Default)]
pub struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer, with the capacity of an earlier use if there was one.
    pub fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= KEEP_CAPACITY && free.len() < KEEP {
            buffer.clear();
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_large_ones_do_not_come_back() {
        let buffers = Buffers::default();
        buffers.give(vec![1; 100]);
        buffers.give(vec![1; KEEP_CAPACITY + 1]);
        let buffer = buffers.take();
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
        assert_eq!(buffers.take().capacity(), 0);
    }
}
