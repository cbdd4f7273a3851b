//! Where the bytes of a call come from.

use rustix::io::Errno;

/// The bytes that a call is to send: a program's memory, or a file.
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
