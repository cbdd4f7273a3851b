//! The user engine's sending direction: seal a batch, send it, keep what the socket did not take.

use underseal_record::{AlertDescription, Limits, MAX_RECORD, Sealer, TrafficSecret};

use crate::Error;
use crate::buffers::{BATCH, Residue};
use crate::engine::KeyUpdateRequest;

mod control;
mod filling;
mod sealing;
mod sending;
mod writing;

/// Batches start here and never shrink below: four full records.
const MIN_BATCH: usize = 64 * 1024;

/// Ciphertext up to this size is copied out of the lent buffer while the socket is full, so that a
/// connection whose peer stopped reading holds little more than what it has to send.
const COPIED: usize = MIN_BATCH + MAX_RECORD;

/// What is left of a direction that is taken apart: sealer, secret, unsent bytes.
pub(crate) type UserParts = (Sealer, Option<TrafficSecret>, Vec<u8>);

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
    /// What the next keys derive from, and the key of the sealer, which does not keep it; TLS 1.2 has
    /// none.
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
        mut sealer: Sealer,
        secret: Option<TrafficSecret>,
        pending: &[u8],
        closed: bool,
    ) -> Self {
        if secret.is_some() {
            sealer.forget_key();
        }
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
        self.recall_key();
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

    /// Has the sealer's keys complete again, for another engine.
    pub(crate) fn recall_key(&mut self) {
        if let Some(secret) = &self.secret {
            self.sealer.recall_key(secret);
        }
    }

    /// Whoever asked for the keys did not take them.
    pub(crate) fn forget_key(&mut self) {
        if self.secret.is_some() {
            self.sealer.forget_key();
        }
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
}
