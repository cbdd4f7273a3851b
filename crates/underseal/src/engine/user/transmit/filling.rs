//! Files and pipes: read where they are aligned, sealed from there.

use std::io;

use underseal_record::{Error as RecordError, MAX_RECORD};

use super::Transmit;
use crate::Error;
use crate::buffers;
use crate::transport::Transport;

/// Bytes of a file that are read at once: they stay in the first two caches until they are sealed.
const PIECE: usize = 64 * 1024;

impl Transmit {
    /// Seals and sends up to `limit` bytes that `fill` provides. `fill` gets a piece of memory to
    /// put the next bytes in and how many came before them, and returns how many they are: zero
    /// ends the batch. Returns the plaintext bytes taken, which are all that `fill` gave; a failure
    /// of `fill` only if there are none.
    pub(crate) fn write_with(
        &mut self,
        transport: &mut impl Transport,
        limit: u64,
        mut fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.close_record()?;
        self.ready(transport)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let limit = limit.min(self.batch as usize);
        if self.sealer.is_exhausted() {
            return Err(Error::from(RecordError::ConfidentialityLimit).into());
        }
        // Read here, sealed there: the kernel's copy wants an aligned place, which the plaintext
        // has not between record headers.
        let mut piece = buffers::lend();
        let mut buffer = buffers::lend();
        let (mut end, mut taken, mut refused) = (0, 0, None);
        while taken < limit && buffer.len() - end >= PIECE + MAX_RECORD {
            let len = PIECE.min(limit - taken).min(self.sealable());
            if len == 0 {
                break;
            }
            let filled = match fill(&mut piece[..len], taken as u64) {
                Ok(filled) => filled,
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            };
            let sealed = self.seal_all(&piece[..filled], &mut buffer[end..]);
            end += sealed.written;
            if let Some(error) = sealed.refused {
                taken += sealed.consumed;
                refused = Some(error);
                break;
            }
            taken += filled;
            // Short records, or padded ones, take more room than their bytes. What came out of a
            // pipe cannot go back.
            self.open = piece[sealed.consumed..filled].into();
            if filled < len || !self.open.is_empty() {
                break;
            }
        }
        self.send(transport, buffer, 0..end)?;
        match refused {
            Some(error) if taken == 0 => Err(error.into()),
            _ => Ok(taken),
        }
    }

    /// Bytes that the key may still seal, or one after it: what was taken cannot go back.
    pub(super) fn sealable(&self) -> usize {
        let hard = self.sealer.limits().hard;
        if self.secret.is_some() && hard > 0 {
            return usize::MAX;
        }
        let records = hard.saturating_sub(self.sealer.seq().0);
        let records = usize::try_from(records).unwrap_or(usize::MAX);
        records.saturating_mul(self.sealer.max_plaintext())
    }
}
