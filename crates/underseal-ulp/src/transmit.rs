//! The sending direction: records, what the socket did not take of them, and what a caller is told.

use std::io::IoSlice;

use rustix::io::Errno;
use underseal_record::{ContentType, MAX_RECORD, ProtocolVersion, Sealer, SeqNo, TrafficKeys};

use crate::crypto_info::{self, CryptoInfo, EXPLICIT_LEN};
use crate::{Plaintext, Stored};

mod held;
mod layout;
mod lent;
mod pending;
mod seal;
#[cfg(test)]
mod tests;

use held::Held;
pub use lent::Lent;
use lent::PIECES;
use pending::Pending;

/// Plaintext of the smallest batch and of the largest.
const MIN_BATCH: usize = 64 * 1024;
const MAX_BATCH: usize = 256 * 1024;

/// Most ciphertext of control records that waits for a socket behind what was sealed before it.
const MAX_OWED: usize = 4 * MAX_RECORD;

/// Takes ciphertext.
pub trait Wire {
    /// Sends some of `bytes`, which are not empty, and says how many.
    ///
    /// # Errors
    ///
    /// `EAGAIN` for a full socket, otherwise what is to be told to the caller.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// As [`send`](Self::send), of several pieces, one behind another.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno>;

    /// About how many bytes it would take at once, where that is known.
    fn room(&mut self) -> Option<usize> {
        None
    }
}

/// Whether a socket that says this may take more later, and the connection goes on. What was sealed and counted as sent
/// waits for that.
pub fn is_passing(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN | Errno::INTR | Errno::NOMEM | Errno::NOBUFS
    )
}

/// The sending direction of a TLS socket.
///
/// 1. A record is sealed once: what the socket did not take of it stays in `pending`, and goes out
///    before anything that is sealed later.
/// 2. `sealed` counts the plaintext that is sealed, or held, and not reported. Callers come back with the same
///    bytes, so that many of them are skipped.
/// 3. Reported is only what lies in records that the socket has taken wholly, but for what is held: that
///    lies before everything that is sealed later, can be sealed, and is less than a record.
#[derive(Debug)]
pub struct Transmit {
    sealer: Sealer,
    /// The number of the first record, and the explicit nonce that it would have had.
    given: Option<(SeqNo, [u8; EXPLICIT_LEN])>,
    pending: Pending,
    /// Plaintext bytes that are sealed, or held, and of which no caller has been told.
    sealed: usize,
    held: Held,
    /// Plaintext bytes of the next batch: doubled when the socket took a whole one, halved when it did not.
    batch: usize,
}

impl Transmit {
    /// Takes over the keys of a sending direction.
    ///
    /// The explicit nonces of TLS 1.2 AES-GCM start in a range that whoever sealed before cannot have
    /// been in: see [`TrafficKeys::renew_explicit_nonces`].
    pub fn new(mut keys: TrafficKeys) -> Self {
        let given = crypto_info::explicit_nonce(&keys).map(|nonce| (keys.seq(), nonce));
        keys.renew_explicit_nonces();
        Self {
            sealer: Sealer::new(keys),
            given,
            pending: Pending::default(),
            sealed: 0,
            held: Held::default(),
            batch: MIN_BATCH,
        }
    }

    /// The keys, with the number of the next record, for somebody with room for `room` bytes: as they were given,
    /// until something is sealed.
    ///
    /// # Errors
    ///
    /// As [`CryptoInfo::of`].
    pub fn crypto_info(&self, room: usize) -> Result<CryptoInfo, Errno> {
        let mut info = CryptoInfo::of(self.sealer.keys(), room)?;
        if let Some((first, nonce)) = self.given
            && first == self.sealer.seq()
        {
            info.set_explicit_nonce(nonce);
        }
        Ok(info)
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

    /// Overwrites the keys where they lie; nothing else is touched, and nothing sealed from here on.
    pub fn erase_keys(&mut self) {
        self.sealer.erase();
    }

    /// Most plaintext of a record: `TLS_TX_MAX_PAYLOAD_LEN`.
    pub fn max_payload(&self) -> usize {
        self.sealer.max_plaintext()
    }

    /// Sets that: one less than the peer's record size limit under TLS 1.3 (RFC 8449).
    ///
    /// # Errors
    ///
    /// As the kernel since 6.19: `EBUSY` while a record is open; `EINVAL` below 64, or 63 under TLS 1.3, and above
    /// 2^14.
    pub fn set_max_payload(&mut self, len: u16) -> Result<(), Errno> {
        if self.held.is_open() {
            return Err(Errno::BUSY);
        }
        self.close_held()?;
        let type_len = u16::from(self.sealer.version() == ProtocolVersion::Tls13);
        let limit = self
            .sealer
            .set_record_size_limit(len.saturating_add(type_len));
        limit.map_err(errno_of)
    }

    /// Takes `data` without sending it, for the first record of what is sent next. Says no if that is too
    /// much, or could not be sealed, and where its caller may come again with what is sealed already. Whoever
    /// holds something has to see that it is sent soon.
    pub fn hold(&mut self, data: &[u8]) -> bool {
        let is_new = self.sealed == 0 && self.pending.bytes().is_empty();
        is_new && !self.sealer.is_exhausted() && self.held.add_head(data, self.most_held())
    }

    /// Most plaintext that is held: less than fills a record.
    fn most_held(&self) -> usize {
        self.sealer.max_plaintext() - 1
    }

    /// The number that the record will have whose start is held, if one is.
    pub fn held_record(&self) -> Option<SeqNo> {
        (!self.held.is_empty()).then(|| self.sealer.seq())
    }

    /// Sends up to `len` bytes of `data`, and returns how many of them are wholly on the wire: all,
    /// fewer where `data` ends, or fewer because the socket is full. A record that was open ends with them.
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
        let sent = self.send_records(len, wire, lent, seal::of_memory(data));
        self.end(len, sent, wire)
    }

    /// As [`send`](Self::send), of what is read to where it is sealed.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_stored(
        &mut self,
        data: &mut impl Stored,
        len: usize,
        wire: &mut impl Wire,
        lent: &mut Lent,
    ) -> Result<usize, Errno> {
        let sent = self.send_records(len, wire, lent, seal::of_file(data));
        self.end(len, sent, wire)
    }

    /// Ends a call that sends: nothing follows in the record that is open.
    fn end(
        &mut self,
        len: usize,
        sent: Result<(), Errno>,
        wire: &mut impl Wire,
    ) -> Result<usize, Errno> {
        let sent = sent.and_then(|()| match self.end_record(wire) {
            // Nothing followed what was held; its writer was told that it is sent.
            Err(error) if is_passing(error) => Ok(()),
            ended => ended,
        });
        self.report(len, sent)
    }

    /// As [`send`](Self::send), where the caller says that more follows (`MSG_MORE`): what does not fill a record
    /// stays in an open one, and counts as sent. It goes with what follows, in front of a record of another
    /// type, or by [`end_record`](Self::end_record); whoever sends so has to see to that.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_more(
        &mut self,
        data: &mut impl Plaintext,
        len: usize,
        wire: &mut impl Wire,
        lent: &mut Lent,
    ) -> Result<usize, Errno> {
        let end = self.end_of_full_records(len);
        let sent = self.send_records(end, wire, lent, seal::of_memory(data));
        let sent = sent.and_then(|()| self.open_record(data, len));
        self.report(len, sent)
    }

    /// Where the last record ends that `len` bytes fill, behind those that are sealed and what is held.
    fn end_of_full_records(&self, len: usize) -> usize {
        let held = self.held.bytes().len();
        let total = held + len.saturating_sub(self.sealed);
        let full = total - total % self.sealer.max_plaintext();
        self.sealed + full.saturating_sub(held)
    }

    /// Sends the bytes up to `end` that are not sealed, behind what was. `seal` seals up to so many of them from a
    /// position on, into what is lent, where on an error is what was sealed before it.
    fn send_records(
        &mut self,
        end: usize,
        wire: &mut impl Wire,
        lent: &mut Lent,
        mut seal: impl FnMut(&mut Self, usize, usize, &mut Lent) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.flush_pending(wire)?;
        while self.sealed < end {
            let position = self.sealed;
            let most = self.batch_for(end - position, wire);
            lent.clear();
            let sealed = seal(self, position, most, lent);
            self.sealed += lent.plaintext();
            self.send_batch(wire, lent)?;
            sealed?;
            if lent.plaintext() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Holds the bytes up to `len` that are not sealed. Everything before them is on the wire.
    fn open_record(&mut self, data: &mut impl Plaintext, len: usize) -> Result<(), Errno> {
        while self.sealed < len {
            if self.sealer.is_exhausted() {
                return Err(Errno::BADMSG);
            }
            let room = self.most_held() - self.held.bytes().len();
            let piece = data.at(self.sealed, room.min(len - self.sealed))?;
            if piece.is_empty() {
                break;
            }
            self.held.add_open(piece)?;
            self.sealed += piece.len();
        }
        Ok(())
    }

    /// How much is sealed at once of what is left of a call. What the socket does not take of it stays in memory, so
    /// a long transfer goes by the socket's room, in whole records.
    fn batch_for(&self, left: usize, wire: &mut impl Wire) -> usize {
        let full = self.sealer.max_plaintext();
        let room = match left > MIN_BATCH {
            true => wire.room(),
            false => None,
        };
        let records = match room {
            None => self.batch / full,
            Some(room) => (room / self.sealer.record_len(full)).max(1),
        };
        (records * full).min(MAX_BATCH).min(left)
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
        match self.end_record(wire) {
            Err(error) if is_passing(error) && self.has_room_for(data) => {}
            ended => ended?,
        }
        self.seal_control(content_type, data)?;
        match self.flush(wire) {
            Err(error) if !is_passing(error) => Err(error),
            _ => Ok(data.len()),
        }
    }

    /// As [`send_control`](Self::send_control), for a record that may wait for what follows it. It goes in front of that,
    /// or by [`flush`](Self::flush), and counts as owed until then. Says no where too much waits already.
    ///
    /// # Errors
    ///
    /// As [`send_control`](Self::send_control), the wire's aside.
    pub fn hold_control(&mut self, content_type: ContentType, data: &[u8]) -> Result<bool, Errno> {
        self.close_held()?;
        if !self.has_room_for(data) {
            return Ok(false);
        }
        self.seal_control(content_type, data)?;
        Ok(true)
    }

    /// Whether a control record may wait behind those that do.
    fn has_room_for(&self, data: &[u8]) -> bool {
        self.pending.owed() + data.len() <= MAX_OWED
    }

    fn seal_control(&mut self, content_type: ContentType, data: &[u8]) -> Result<(), Errno> {
        for piece in data.chunks(self.sealer.max_plaintext()) {
            let room = self.pending.room(self.sealer.record_len(piece.len()))?;
            let sealed = self.sealer.seal(content_type, piece, room);
            self.pending.owe(sealed.map_err(errno_of)?.written);
        }
        Ok(())
    }

    /// Sends what is held, and what was sealed and not taken. A record that is open stays so.
    ///
    /// # Errors
    ///
    /// What the wire said; `EBADMSG` past the limit of the key; `ENOMEM`.
    pub fn flush(&mut self, wire: &mut impl Wire) -> Result<(), Errno> {
        if !self.held.is_open() {
            self.close_held()?;
        }
        self.flush_pending(wire)
    }

    /// As [`flush`](Self::flush), with a record that is open: nothing follows in it.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn end_record(&mut self, wire: &mut impl Wire) -> Result<(), Errno> {
        self.close_held()?;
        self.flush_pending(wire)
    }

    /// Seals what is held.
    fn close_held(&mut self) -> Result<(), Errno> {
        let held = self.held.bytes();
        if held.is_empty() {
            return Ok(());
        }
        let room = self.pending.room(self.sealer.record_len(held.len()))?;
        let data = ContentType::APPLICATION_DATA;
        let sealed = self.sealer.seal(data, held, room);
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
        self.pending.owed() + self.held.bytes().len()
    }

    /// Sends the batch; what is left of it becomes pending.
    fn send_batch(&mut self, wire: &mut impl Wire, lent: &mut Lent) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < lent.len() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = lent.pieces(sent, &mut pieces);
            let outcome = match &pieces[..count] {
                [only] => wire.send(only),
                pieces => wire.send_pieces(pieces),
            };
            match outcome {
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

    /// Tells a caller with `len` bytes what is wholly on the wire, or held behind that; if nothing is, what stopped
    /// it.
    fn report(&mut self, len: usize, stopped: Result<(), Errno>) -> Result<usize, Errno> {
        let reported = (self.sealed - self.pending.plaintext()).min(len);
        self.sealed -= reported;
        match stopped {
            Err(error) if reported == 0 => Err(error),
            _ => Ok(reported),
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
