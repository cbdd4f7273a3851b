//! The user engine's sending direction: seal a batch, send it, keep what the socket did not take.

use std::io::{self, IoSlice};
use std::ops::Range;

use underseal_record::{
    AlertDescription, AlertLevel, ContentType, Error as RecordError, Limits, MAX_PLAINTEXT,
    MAX_RECORD, Sealer, TrafficSecret,
};

use crate::Error;
use crate::buffers::{self, BATCH, Lent, Residue};
use crate::engine::KeyUpdateRequest;
use crate::transport::Transport;

/// Batches start here and never shrink below: four full records.
const MIN_BATCH: usize = 64 * 1024;

/// Ciphertext up to this size is copied out of the lent buffer while the socket is full, so that a
/// connection whose peer stopped reading holds little more than what it has to send.
const COPIED: usize = MIN_BATCH + MAX_RECORD;

/// Ciphertext that waits for the socket while small writes are sealed behind it. They go out with
/// one system call when the socket takes again, instead of one each.
const GATHERED: usize = MIN_BATCH;

/// Bytes of a file that are read at once: they stay in the first two caches until they are sealed.
const PIECE: usize = 64 * 1024;

/// What is left of a direction that is taken apart: sealer, secret, unsent bytes.
pub(crate) type UserParts = (Sealer, Option<TrafficSecret>, Vec<u8>);

/// What a run of records came to.
#[derive(Default)]
struct SealedRun {
    consumed: usize,
    written: usize,
    refused: Option<Error>,
}

/// Whether a direction takes anything more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// An alert was the last record, or the peer is known to be gone.
    Closed,
    /// Sealed bytes were lost: a later record would have a number that the peer does not expect.
    Broken,
}

/// The sending direction of a connection.
///
/// 1. Sealed bytes go out in order: `pending` is sent before anything that is sealed later.
/// 2. A record that was sealed is never sealed again: what the socket did not take stays in
///    `pending`, and its plaintext counts as written.
/// 3. Sealed bytes are in `pending`, or were taken by the transport, or the direction is broken,
///    also where the transport panics.
pub(crate) struct Transmit {
    pub(crate) sealer: Sealer,
    /// What the next keys derive from; TLS 1.2 has none.
    secret: Option<TrafficSecret>,
    pending: Residue,
    /// Data that was taken and is not sealed: with `more`, less than a full record; otherwise what
    /// one batch had no room for.
    open: Box<[u8]>,
    /// Plaintext bytes of the next batch: doubled when the socket took a whole batch, halved when
    /// it did not, so that a slow peer costs little memory and a fast one few system calls.
    batch: u32,
    /// Plaintext bytes of the largest batch, and of what is gathered.
    most: u32,
    /// A KeyUpdate that is to be sealed before the next record.
    key_update: Option<KeyUpdateRequest>,
    /// A warning that answers the peer: one for any number of requests.
    warning: Option<AlertDescription>,
    state: State,
    pub(crate) key_updates: u32,
}

impl Transmit {
    pub(crate) fn new(
        sealer: Sealer,
        secret: Option<TrafficSecret>,
        pending: &[u8],
        closed: bool,
    ) -> Self {
        Self {
            sealer,
            secret,
            pending: Residue::copy_of(pending),
            open: Box::default(),
            batch: MIN_BATCH as u32,
            most: BATCH as u32,
            key_update: None,
            warning: None,
            state: match closed {
                true => State::Closed,
                false => State::Open,
            },
            key_updates: 0,
        }
    }

    /// Sealer, secret, and what was sealed and not sent; an open record and a key update that is
    /// wanted are sealed for it.
    pub(crate) fn into_parts(mut self) -> Result<UserParts, Error> {
        self.close_record()?;
        self.queue_warning();
        self.queue_key_update()?;
        let pending = self.pending.bytes().to_vec();
        Ok((self.sealer, self.secret, pending))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.sealer.limits()
    }

    pub(crate) fn lower_limits(&mut self, limits: Limits) {
        self.sealer.lower_limits(limits);
    }

    /// Bounds what waits for the socket, in whole records: one is always taken.
    pub(crate) fn limit_buffer(&mut self, most: usize) {
        self.most = most.clamp(1, BATCH) as u32;
        self.batch = self.batch.min(self.most);
    }

    pub(crate) fn max_plaintext(&self) -> usize {
        self.sealer.max_plaintext()
    }

    /// Whether all that was taken has been sealed and sent: another engine may go on from here.
    pub(crate) fn is_idle(&self) -> bool {
        let has_sent_all = self.pending.bytes().is_empty() && self.open.is_empty();
        has_sent_all && self.key_update.is_none() && self.warning.is_none()
    }

    pub(crate) fn take_secret(&mut self) -> Option<TrafficSecret> {
        self.secret.take()
    }

    pub(crate) fn can_update_key(&self) -> bool {
        self.secret.is_some()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state != State::Open
    }

    /// Whether the peer lacks records that were sealed, and cannot be told.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Sealed bytes that the socket has not taken yet.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.bytes().len()
    }

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
        let mut joined = std::mem::take(&mut self.open).into_vec();
        for slice in slices {
            let room = MIN_BATCH.saturating_sub(joined.len());
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

    /// Bytes that the key may still seal, or one after it: what came out of a pipe cannot go back.
    fn sealable(&self) -> usize {
        let Limits { soft, hard } = self.sealer.limits();
        if self.secret.is_some() && soft < hard {
            return usize::MAX;
        }
        let records = hard.saturating_sub(self.sealer.seq().0);
        let records = usize::try_from(records).unwrap_or(usize::MAX);
        records.saturating_mul(self.sealer.max_plaintext())
    }

    /// Seals application data into as many records as it needs, with the key updates that come
    /// due, until it ends, `out` is full, or sealing is refused.
    fn seal_all(&mut self, plaintext: &[u8], out: &mut [u8]) -> SealedRun {
        let mut run = SealedRun::default();
        while run.consumed < plaintext.len() && out.len() - run.written >= MAX_RECORD {
            let step = self
                .seal_due_key_update(&mut out[run.written..])
                .and_then(|update| {
                    run.written += update;
                    let rest = &plaintext[run.consumed..];
                    let out = &mut out[run.written..];
                    let sealed = self.sealer.seal(ContentType::APPLICATION_DATA, rest, out);
                    Ok(sealed?)
                });
            match step {
                Ok(sealed) => {
                    run.consumed += sealed.consumed;
                    run.written += sealed.written;
                }
                Err(error) => {
                    run.refused = Some(error);
                    break;
                }
            }
        }
        run
    }

    /// Sends what is pending, the open record and what answers the peer with it. `WouldBlock` if
    /// the socket does not take all of it.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.close_record()?;
        self.send_pending(transport)?;
        self.queue_warning();
        self.queue_key_update()?;
        self.send_pending(transport)
    }

    /// Sends what is pending. Whoever waits then holds no more than what waits.
    fn send_pending(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        if self.pending.bytes().is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        let sent = self.send_all(transport, &mut pending);
        self.pending = pending;
        sent.inspect_err(|_| self.pending.settle(COPIED))
    }

    /// Sends the bytes of `unsent`, and drops from it what the transport took. Broken is what the
    /// direction is in the meantime: a transport that panics may have taken any of them.
    fn send_all(
        &mut self,
        transport: &mut impl Transport,
        unsent: &mut impl Unsent,
    ) -> io::Result<()> {
        let state = std::mem::replace(&mut self.state, State::Broken);
        let sent = loop {
            match unsent.bytes() {
                [] => break Ok(()),
                bytes => match transport.send(bytes) {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => unsent.advance(n),
                    Err(error) => break Err(error),
                },
            }
        };
        self.state = state;
        sent
    }

    /// Asks for a KeyUpdate before the next record; [`queue_key_update`](Self::queue_key_update)
    /// seals it.
    pub(crate) fn want_key_update(&mut self, request: KeyUpdateRequest) {
        if self.key_update != Some(KeyUpdateRequest::Requested) {
            self.key_update = Some(request);
        }
    }

    /// Asks for a warning. It is sealed once nothing is pending, however often it was asked for
    /// until then, so that a peer which does not read cannot fill memory with answers.
    pub(crate) fn want_warning(&mut self, description: AlertDescription) {
        self.warning = Some(description);
    }

    fn queue_warning(&mut self) {
        if let Some(description) = self.warning.take() {
            self.queue_alert(AlertLevel::Warning, description);
        }
    }

    /// Seals the KeyUpdate that is wanted, if there is one, behind what is pending.
    pub(crate) fn queue_key_update(&mut self) -> Result<(), Error> {
        if self.is_closed() {
            self.key_update = None;
        }
        if self.key_update.is_none() {
            return Ok(());
        }
        self.close_record()?;
        let mut record = vec![0; self.sealer.record_len(KeyUpdateRequest::MESSAGE_LEN)];
        let len = self.seal_due_key_update(&mut record)?;
        self.pending.append(&record[..len]);
        Ok(())
    }

    /// Seals an alert behind what is pending. A fatal one, and close_notify, close the direction.
    pub(crate) fn queue_alert(&mut self, level: AlertLevel, description: AlertDescription) {
        if self.is_closed() {
            return;
        }
        // If the open record may not be sealed, neither may the alert.
        let _ = self.close_record();
        let alert = [level.to_wire(), description.0];
        let mut record = vec![0; self.sealer.record_len(alert.len())];
        let sealed = self.sealer.seal(ContentType::ALERT, &alert, &mut record);
        if level == AlertLevel::Fatal || description == AlertDescription::CLOSE_NOTIFY {
            self.state = State::Closed;
        }
        // Past the hard limit not even an alert may be sealed: the peer sees the TCP stream end.
        if let Ok(sealed) = sealed {
            self.pending.append(&record[..sealed.written]);
        }
    }

    /// Refuses all further writes: the peer is known to be gone.
    pub(crate) fn close_silently(&mut self) {
        self.end(State::Closed);
    }

    /// Takes nothing more and sends nothing more. What is lost already stays lost.
    fn end(&mut self, state: State) {
        if self.state != State::Broken {
            self.state = state;
        }
        self.pending = Residue::Empty;
        self.open = Box::default();
    }

    /// Seals all of what is open, behind what is pending. A key update that is wanted was asked for
    /// behind it.
    fn close_record(&mut self) -> Result<(), Error> {
        let wanted = self.key_update.take();
        let closed = self.seal_open();
        self.key_update = wanted;
        closed
    }

    fn seal_open(&mut self) -> Result<(), Error> {
        while !self.open.is_empty() {
            let mut buffer = buffers::lend();
            let open = std::mem::take(&mut self.open);
            let run = self.seal_all(&open, &mut buffer);
            self.open = open[run.consumed..].into();
            self.pending.append(&buffer[..run.written]);
            run.refused.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Sends what is due before data. The alert that closed the direction is: a writer that waited
    /// sends it, if the reader who queued it has gone, before it learns that it came too late.
    pub(crate) fn ready(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.send_pending(transport)?;
        if self.is_closed() {
            return Err(Error::WriteAfterClose.into());
        }
        self.queue_warning();
        self.send_pending(transport)
    }

    /// Seals a KeyUpdate and switches to the next key, if one was asked for or the soft limit is
    /// reached. Returns the bytes written.
    fn seal_due_key_update(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let by_limit = self.sealer.wants_key_update() && self.secret.is_some();
        let due = match self.key_update.take() {
            None if by_limit => KeyUpdateRequest::NotRequested,
            None => return Ok(0),
            Some(request) => request,
        };
        let Some(secret) = &mut self.secret else {
            return Err(Error::unsupported("key update on this connection"));
        };
        let message = due.message();
        let sealed = self.sealer.seal(ContentType::HANDSHAKE, &message, out)?;
        secret.update();
        self.sealer.replace_keys(secret.keys());
        self.key_updates += 1;
        Ok(sealed.written)
    }

    /// Sends what was just sealed; what the socket does not take becomes pending. Any other failure
    /// breaks the direction: whoever wrote the plaintext is told that it was not taken, so it must
    /// not go out.
    fn send(
        &mut self,
        transport: &mut impl Transport,
        buffer: Lent,
        range: Range<usize>,
    ) -> io::Result<()> {
        let mut sealed = (buffer, range);
        match self.send_all(transport, &mut sealed) {
            Ok(()) => {
                self.batch = (self.batch * 2).min(self.most);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.batch = (self.batch / 2).max(MIN_BATCH as u32).min(self.most);
                self.pending = Residue::new(sealed.0, sealed.1, COPIED);
                Ok(())
            }
            Err(error) => {
                self.end(State::Broken);
                Err(error)
            }
        }
    }
}

/// Sealed bytes on their way to the transport.
trait Unsent {
    fn bytes(&self) -> &[u8];
    fn advance(&mut self, n: usize);
}

impl Unsent for Residue {
    fn bytes(&self) -> &[u8] {
        Self::bytes(self)
    }

    fn advance(&mut self, n: usize) {
        Self::advance(self, n);
    }
}

/// A part of a buffer that was just sealed into.
impl Unsent for (Lent, Range<usize>) {
    fn bytes(&self) -> &[u8] {
        &self.0[self.1.clone()]
    }

    fn advance(&mut self, n: usize) {
        self.1.start += n;
    }
}
