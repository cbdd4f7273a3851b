//! Where the bytes of a call come from.

use std::io::IoSliceMut;

use rustix::io::Errno;

/// The bytes that a call is to send, which lie in memory.
pub trait Plaintext {
    /// Some of the bytes from `position` on, counted from the first byte of the call: at most `most`
    /// of them, as many as can be had at once, and none at the end.
    ///
    /// # Errors
    ///
    /// What reading them gave.
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno>;
}

impl Plaintext for &[u8] {
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno> {
        let rest = self.get(position..).unwrap_or_default();
        Ok(&rest[..most.min(rest.len())])
    }
}

/// The bytes that a call is to send, which are in a file: they are read to where they are sealed.
pub trait Stored {
    /// Where in its page of the file the byte at `position` lies. It is read to that place of a page in memory: the
    /// kernel's copy to any other takes several times as long.
    fn place(&self, position: usize) -> usize;

    /// Reads the bytes from `position` on to `rooms`, one behind another, and says how many: fewer than they hold at the
    /// end alone, or in front of an error.
    ///
    /// # Errors
    ///
    /// What reading gave, where it is of the first byte.
    fn read(&mut self, position: usize, rooms: &mut [IoSliceMut<'_>]) -> Result<usize, Errno>;
}
