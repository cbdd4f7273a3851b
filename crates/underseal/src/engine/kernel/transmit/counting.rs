//! How many records a key has sealed: never fewer than the kernel says, which is asked where the count comes
//! to a limit.

use std::io;

use underseal_sys::Errno;
use underseal_sys::tls::{self, Direction};

use super::{Transmit, is_shortage};
use crate::transport::Transport;

/// Bytes of pages that a record has at least, but for full ones and the last: it ends after 17 buffers
/// (`MAX_SKB_FRAGS` in include/linux/skbuff.h) however short they are, and one of them may be cut in two
/// by the end of a full record.
const LEAST_OF_PAGES: usize = 16;

/// The bytes that fit into `records` of `len`.
pub(super) fn bytes_of(records: u64, len: usize) -> usize {
    let bytes = records.saturating_mul(len as u64);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The bytes of pages that no more than `records` come of: full ones may be among the shortest.
pub(super) fn pages_of(records: u64) -> usize {
    bytes_of(records, LEAST_OF_PAGES / 2)
}

impl Transmit {
    /// Asks the kernel how many records it has sealed.
    pub(super) fn count_exactly(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let Some(socket) = transport.socket() else {
            return Err(Errno::NOTSOCK.into());
        };
        // The record that is open has the next number.
        self.records = tls::get(socket, Direction::Tx)?.rec_seq() + u64::from(self.open);
        Ok(())
    }

    /// Counts the records of what was sent. An error that is not just a full socket, or no memory, ends
    /// the direction: the kernel may have sent a part of a record.
    pub(super) fn checked(&mut self, sent: Result<usize, Errno>) -> io::Result<usize> {
        match sent {
            Ok(sent) => {
                self.records += sent.div_ceil(self.max_plaintext) as u64;
                Ok(sent)
            }
            Err(errno) => {
                if !is_shortage(errno) {
                    self.break_off();
                }
                Err(errno.into())
            }
        }
    }

    /// As [`checked`](Self::checked), of pages: records beyond full ones are counted as if each were of
    /// the shortest.
    pub(super) fn checked_pages(&mut self, sent: Result<usize, Errno>) -> io::Result<usize> {
        let sent = self.checked(sent)?;
        self.records += sent.div_ceil(LEAST_OF_PAGES) as u64;
        Ok(sent)
    }
}
