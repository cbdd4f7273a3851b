//! Writes: a batch is sealed and sent; what is small may wait behind what the socket did not take.

use std::io::{self, IoSlice};

use underseal_record::{ContentType, Error as RecordError, MAX_PLAINTEXT, MAX_RECORD};

use super::{MIN_BATCH, Transmit};
use crate::Error;
use crate::buffers::{self, Residue};
use crate::transport::Transport;

/// Ciphertext that waits for the socket while small writes are sealed behind it. They go out with
/// one system call when the socket takes again, instead of one each.
const GATHERED: usize = MIN_BATCH;

impl Transmit {
    /// Seals and sends as much of `slices` as one batch holds; returns the plaintext bytes taken.
    /// `WouldBlock` only if nothing was taken. With `more`, what does not fill a record is kept
    /// for the next call.
    pub(crate) fn write(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &mut [IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let data = content_type == ContentType::APPLICATION_DATA;
        if !data {
            self.close_record()?;
        }
        let joined = data && (more || !self.open.is_empty());
        let gathers = data && !joined && !self.is_closed();
        match self.ready(transport) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock && gathers => {
                return self.write_behind(slices, full);
            }
            ready => ready?,
        }
        if joined {
            return self.write_joined(transport, slices, more);
        }
        self.write_batch(transport, content_type, slices)
    }

    /// Seals a small write behind what the socket did not take; `full` if there is no room for it.
    fn write_behind(&mut self, slices: &mut [IoSlice<'_>], full: io::Error) -> io::Result<usize> {
        match self.gather(slices, GATHERED.min(self.most as usize))? {
            0 => Err(full),
            taken => Ok(taken),
        }
    }

    /// Writes data behind the open record.
    fn write_joined(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let held = self.open.len();
        let sealable = self.sealable();
        // What stays open is sealed later, and there must be a number for it.
        if held >= sealable && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(Error::from(RecordError::ConfidentialityLimit).into());
        }
        let mut joined = std::mem::take(&mut self.open).into_vec();
        for slice in slices {
            let room = sealable.min(MIN_BATCH).saturating_sub(joined.len());
            joined.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let taken = joined.len() - held;
        let kept = match more {
            true => joined.len() % self.sealer.max_plaintext(),
            false => 0,
        };
        let mut buffer = buffers::lend();
        let whole = joined.len() - kept;
        let run = self.seal_all(&joined[..whole], &mut buffer);
        // What a refusal left unsealed stays open: it was taken, and the next call reports it.
        self.open = joined[run.consumed..].into();
        self.send(transport, buffer, 0..run.written)?;
        match run.refused {
            Some(error) if run.consumed == 0 => {
                self.open = joined[..held].into();
                Err(error.into())
            }
            _ => Ok(taken),
        }
    }

    fn write_batch(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<usize> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut slices = slices;
        let mut buffer = buffers::lend();
        let mut end = self.seal_due_key_update(&mut buffer)?;
        let (mut taken, mut refused) = (0, None);
        while taken < total.min(self.batch as usize) && buffer.len() - end >= MAX_RECORD {
            match self
                .sealer
                .seal_vectored(content_type, slices, &mut buffer[end..])
            {
                Ok(sealed) => {
                    taken += sealed.consumed;
                    end += sealed.written;
                    IoSlice::advance_slices(&mut slices, sealed.consumed);
                }
                Err(error) => {
                    refused = Some(Error::from(error));
                    break;
                }
            }
            match self.seal_due_key_update(&mut buffer[end..]) {
                Ok(update) => end += update,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        // What was sealed goes out, be it only a key update: its number is used up.
        self.send(transport, buffer, 0..end)?;
        match refused {
            Some(error) if taken == 0 => Err(error.into()),
            // The next call reports it.
            _ => Ok(taken),
        }
    }

    /// Seals data behind what is pending and sends nothing: for a caller that comes with more at
    /// once (see [`send_gathered`](Self::send_gathered)), and while the socket is full. Zero if
    /// more than `most` bytes would be pending, or it takes more than one record.
    pub(crate) fn gather(
        &mut self,
        slices: &mut [IoSlice<'_>],
        most: usize,
    ) -> Result<usize, Error> {
        if self.is_closed() {
            return Err(Error::WriteAfterClose);
        }
        self.close_record()?;
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        if len > MAX_PLAINTEXT || self.pending.bytes().len() + len > most {
            return Ok(0);
        }
        // What was copied out of a lent buffer stays out: not all of it is copied for each write.
        let (mut buffer, mut range) = match self.pending {
            Residue::Copied(..) => (buffers::lend(), 0..0),
            _ => std::mem::take(&mut self.pending).into_lent(),
        };
        let mut taken = 0;
        let mut sealed = Ok(());
        // A record with all of it, and a key update before it.
        if buffer.len() - range.end >= 2 * MAX_RECORD {
            let out = &mut buffer[range.end..];
            sealed = self.seal_due_key_update(out).and_then(|update| {
                range.end += update;
                let data = ContentType::APPLICATION_DATA;
                let sealed = self
                    .sealer
                    .seal_vectored(data, slices, &mut out[update..])?;
                range.end += sealed.written;
                taken = sealed.consumed;
                Ok(())
            });
        }
        match self.pending {
            Residue::Empty => self.pending = Residue::new(buffer, range, 0),
            _ => self.pending.append(&buffer[range]),
        }
        sealed.map(|()| taken)
    }

    /// Sends what was gathered, as far as the socket takes it.
    pub(crate) fn send_gathered(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        match self.send_pending(transport) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
