//! The sending direction: records, what the socket did not take of them, and what a caller is told.

use std::io::IoSlice;

use rustix::io::Errno;
use underseal_record::{
    ContentType, MAX_PLAINTEXT, MAX_RECORD, ProtocolVersion, Sealer, TrafficKeys,
};

use crate::Plaintext;

mod lent;
mod pending;
#[cfg(test)]
mod tests;

pub use lent::Lent;
use pending::Pending;

/// Plaintext of the smallest batch and of the largest.
const MIN_BATCH: usize = 64 * 1024;
const MAX_BATCH: usize = 256 * 1024;

/// Most ciphertext of control records that waits for a socket behind what was sealed before it.
const MAX_OWED: usize = 4 * MAX_RECORD;

/// Most plaintext that is held for what follows it.
const MAX_HELD: usize = 4096;

/// Takes ciphertext.
pub trait Wire {
    /// Sends some of `bytes`, which are not empty, and says how many.
    ///
    /// # Errors
    ///
    /// `EAGAIN` for a full socket, otherwise what is to be told to the caller.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// About how many bytes it would take at once, where that is known.
    fn room(&mut self) -> Option<usize> {
        None
    }
}

/// The sending direction of a TLS socket.
///
/// 1. A record is sealed once: what the socket did not take of it stays in `pending`, and goes out
///    before anything that is sealed later.
/// 2. `sealed` counts the plaintext that is sealed and not reported. Callers come back with the same
///    bytes, so that many of them are skipped.
/// 3. Reported is only what lies in records that the socket has taken wholly, but for what is held: that
///    lies before everything that is sealed later.
#[derive(Debug)]
pub struct Transmit {
    sealer: Sealer,
    pending: Pending,
    /// Plaintext bytes that are sealed, and of which no caller has been told.
    sealed: usize,
    /// Plaintext that its writer takes for sent, for the first record of what follows it.
    held: Vec<u8>,
    /// Plaintext bytes of the next batch: doubled when the socket took a whole one, halved when it did not.
    batch: usize,
}

impl Transmit {
    /// Takes over the keys of a sending direction.
    pub fn new(keys: TrafficKeys) -> Self {
        Self {
            sealer: Sealer::new(keys),
            pending: Pending::default(),
            sealed: 0,
            held: Vec::new(),
            batch: MIN_BATCH,
        }
    }

    /// The keys, with the number of the next record.
    pub fn keys(&self) -> &TrafficKeys {
        self.sealer.keys()
    }

    /// Goes on under new keys, as after a KeyUpdate: what is sealed stays sealed.
    ///
    /// # Errors
    ///
    /// As the kernel since 6.14: `EBUSY` under TLS 1.2, `EINVAL` for another version or cipher. The old
    /// keys stay in force then.
    pub fn replace_keys(&mut self, keys: TrafficKeys) -> Result<(), Errno> {
        if self.sealer.version() != ProtocolVersion::Tls13 {
            return Err(Errno::BUSY);
        }
        if keys.version() != self.sealer.version() || keys.algorithm() != self.sealer.algorithm() {
            return Err(Errno::INVAL);
        }
        self.close_held()?;
        self.sealer.replace_keys(keys);
        Ok(())
    }

    /// Takes `data` without sending it, for the first record of what is sent next. Says no if that is too
    /// much, or could not be sealed, and where its caller may come again with what is sealed already. Whoever
    /// holds something has to see that it is sent soon.
    pub fn hold(&mut self, data: &[u8]) -> bool {
        let is_new = self.sealed == 0 && self.pending.bytes().is_empty();
        let is_held = is_new
            && self.held.len() + data.len() <= MAX_HELD
            && !self.sealer.is_exhausted()
            && self.held.try_reserve(data.len()).is_ok();
        if is_held {
            self.held.extend_from_slice(data);
        }
        is_held
    }

    /// Sends up to `len` bytes of `data`, and returns how many of them are wholly on the wire: all,
    /// fewer where `data` ends, or fewer because the socket is full.
    ///
    /// # Errors
    ///
    /// If there is nothing to report: what the wire or the source said, `EAGAIN` for a full socket, `ENOMEM`;
    /// `EBADMSG` past the limit of the key, as the kernel has it where its numbers end. An error that
    /// comes after something was sent is for the next call to find.
    pub fn send(
        &mut self,
        data: &mut impl Plaintext,
        len: usize,
        wire: &mut impl Wire,
        lent: &mut Lent,
    ) -> Result<usize, Errno> {
        if let Err(error) = self.flush_pending(wire) {
            return self.report(len, error);
        }
        let mut position = self.sealed;
        while position < len {
            let most = self.batch_for(len - position, wire);
            let failed = self.seal(data, position, most, lent).err();
            position += lent.plaintext();
            self.sealed += lent.plaintext();
            let sent = self.send_batch(wire, lent);
            if let Some(error) = sent.err().or(failed) {
                return self.report(len, error);
            }
            if lent.plaintext() == 0 {
                break;
            }
        }
        if !self.held.is_empty() {
            // Nothing followed it.
            match self.flush(wire) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return self.report(len, error),
            }
        }
        let reported = self.sealed.min(len);
        self.sealed -= reported;
        Ok(reported)
    }

    /// How much is sealed at once of what is left of a call. What the socket does not take of it stays in memory, so
    /// a long transfer goes by the socket's room, in whole records.
    fn batch_for(&self, left: usize, wire: &mut impl Wire) -> usize {
        let room = match left > MIN_BATCH {
            true => wire.room(),
            false => None,
        };
        let Some(room) = room else {
            return self.batch.min(left);
        };
        let records = (room / self.sealer.record_len(MAX_PLAINTEXT)).max(1);
        (records * MAX_PLAINTEXT).min(MAX_BATCH).min(left)
    }

    /// Sends a record of another type than data, behind everything that was sealed before. It is taken
    /// whole; what the socket does not take of it waits for [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// `EAGAIN` if too much waits already; `EINVAL` for a type that no record may have under keys;
    /// otherwise as [`send`](Self::send).
    pub fn send_control(
        &mut self,
        content_type: ContentType,
        data: &[u8],
        wire: &mut impl Wire,
    ) -> Result<usize, Errno> {
        match self.flush(wire) {
            Err(Errno::AGAIN) if self.pending.owed() + data.len() <= MAX_OWED => {}
            flushed => flushed?,
        }
        for piece in data.chunks(self.sealer.max_plaintext()) {
            let room = self.pending.room(self.sealer.record_len(piece.len()))?;
            let sealed = self.sealer.seal(content_type, piece, room);
            self.pending.owe(sealed.map_err(errno_of)?.written);
        }
        match self.flush(wire) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(data.len()),
            Err(error) => Err(error),
        }
    }

    /// Sends what is held, and what was sealed and not taken.
    ///
    /// # Errors
    ///
    /// What the wire said; `EBADMSG` past the limit of the key; `ENOMEM`.
    pub fn flush(&mut self, wire: &mut impl Wire) -> Result<(), Errno> {
        self.close_held()?;
        self.flush_pending(wire)
    }

    /// Seals what is held.
    fn close_held(&mut self) -> Result<(), Errno> {
        if self.held.is_empty() {
            return Ok(());
        }
        let room = self.pending.room(self.sealer.record_len(self.held.len()))?;
        let data = ContentType::APPLICATION_DATA;
        let sealed = self.sealer.seal(data, &self.held, room);
        self.pending.owe(sealed.map_err(errno_of)?.written);
        self.held.clear();
        Ok(())
    }

    fn flush_pending(&mut self, wire: &mut impl Wire) -> Result<(), Errno> {
        while !self.pending.bytes().is_empty() {
            let sent = wire.send(self.pending.bytes())?;
            self.pending.advance(sent);
        }
        Ok(())
    }

    /// Ciphertext that has not been taken.
    pub fn pending_len(&self) -> usize {
        self.pending.bytes().len()
    }

    /// How much waits that the program was told is sent: it must not be lost with the descriptor. What is held
    /// counts as it is.
    pub fn owed(&self) -> usize {
        self.pending.owed() + self.held.len()
    }

    /// Seals up to `most` bytes of `data` into what is lent. On an error, what was sealed before it is
    /// there.
    fn seal(
        &mut self,
        data: &mut impl Plaintext,
        position: usize,
        most: usize,
        lent: &mut Lent,
    ) -> Result<(), Errno> {
        lent.clear();
        while lent.plaintext() < most {
            let wanted = most - lent.plaintext();
            let mut piece = data.at(position + lent.plaintext(), wanted)?;
            if piece.is_empty() {
                break;
            }
            if !self.held.is_empty() {
                let consumed = self.seal_held_with(piece, lent)?;
                piece = &piece[consumed..];
            }
            while !piece.is_empty() {
                let room = lent.room(self.sealer.sealed_len(piece.len().min(MAX_PLAINTEXT)))?;
                let sealed = self.sealer.seal(ContentType::APPLICATION_DATA, piece, room);
                let sealed = sealed.map_err(errno_of)?;
                lent.commit(sealed.consumed, sealed.written);
                piece = &piece[sealed.consumed..];
            }
        }
        Ok(())
    }

    /// Seals a record of what is held and what follows it. Returns how much of that went into it.
    fn seal_held_with(&mut self, piece: &[u8], lent: &mut Lent) -> Result<usize, Errno> {
        let total = (self.held.len() + piece.len()).min(MAX_PLAINTEXT);
        let both = [IoSlice::new(&self.held), IoSlice::new(piece)];
        let room = lent.room(self.sealer.sealed_len(total))?;
        let data = ContentType::APPLICATION_DATA;
        let sealed = self.sealer.seal_vectored(data, &both, room);
        let sealed = sealed.map_err(errno_of)?;
        let consumed = sealed.consumed - self.held.len();
        lent.commit(consumed, sealed.written);
        lent.owe();
        self.held.clear();
        Ok(consumed)
    }

    /// Sends the batch; what is left of it becomes pending.
    fn send_batch(&mut self, wire: &mut impl Wire, lent: &mut Lent) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < lent.bytes().len() {
            match wire.send(&lent.bytes()[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) => {
                    self.pending.keep(lent, sent);
                    self.batch = (self.batch / 2).max(MIN_BATCH);
                    return Err(error);
                }
            }
        }
        if lent.plaintext() >= self.batch {
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        Ok(())
    }

    /// Tells a caller with `len` bytes what is wholly on the wire, or else `error`.
    fn report(&mut self, len: usize, error: Errno) -> Result<usize, Errno> {
        let on_the_wire = self.sealed - self.pending.plaintext();
        match on_the_wire.min(len) {
            0 => Err(error),
            reported => {
                self.sealed -= reported;
                Ok(reported)
            }
        }
    }
}

/// What the kernel says where it cannot seal.
fn errno_of(error: underseal_record::Error) -> Errno {
    match error {
        underseal_record::Error::ApiMisuse(_) => Errno::INVAL,
        _ => Errno::BADMSG,
    }
}
