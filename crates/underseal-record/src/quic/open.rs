use core::fmt;
use core::ops::Range;

use crate::dtls::{Discard, ReplayWindow};
use crate::quic::header_key::{hidden_bits, number_len, xor};
use crate::quic::phases::Phases;
use crate::quic::secrets::Expanded;
use crate::quic::{
    HeaderKey, KEY_PHASE, LONG_FORM, MAX_NUMBER_LEN, MAX_PACKET_NUMBER, PacketNumber, SAMPLE_LEN,
    TRAIN, Version, integrity_limit,
};
use crate::{Algorithm, Backend, TAG_LEN, TrafficSecret};

/// Opens the packets of one direction and one packet number space.
///
/// Packets may be lost, repeated, reordered and forged: what does not open is [`Dropped`] with its
/// reason, and changes nothing but a count. None opens twice (RFC 9000 section 12.3); one that comes
/// later than the 2048 after it may be too old to tell. Whatever is wrong with a packet that is long
/// enough, a key was tried on it, so that no clock tells its number (RFC 9001 section 9.5).
pub struct PacketOpener {
    header: HeaderKey,
    phases: Phases,
    algorithm: Algorithm,
    window: ReplayWindow,
    failures: u64,
    integrity_limit: u64,
}

/// A packet of a batch to open, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming<'a> {
    /// Exactly one packet: what [`Header::len`](crate::quic::Header) says.
    pub packet: &'a mut [u8],
    /// Where its packet number starts.
    pub number_at: usize,
    /// `None` before it was tried.
    pub outcome: Option<Result<Opened, Dropped>>,
}

impl<'a> Incoming<'a> {
    /// A packet that was not tried yet.
    pub fn new(packet: &'a mut [u8], number_at: usize) -> Self {
        Self {
            packet,
            number_at,
            outcome: None,
        }
    }
}

/// A packet that authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Its number.
    pub number: u64,
    /// Of which generation its key is: one more than before with the first packet after a key update.
    pub generation: u64,
    /// Where its payload lies in the packet, whose header is no longer protected.
    pub payload: Range<usize>,
}

/// Why a packet was not opened. Its header and its last sixteen bytes, which may be a stateless reset
/// token (RFC 9000 section 10.3), are as they came; what lies between may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// It is too short to be protected.
    #[error("packet too short to be protected")]
    TooShort,
    /// It did not authenticate: forged, corrupted, or sealed under another key.
    #[error("packet does not authenticate")]
    Forged,
    /// A packet of this number was opened before.
    #[error("duplicate packet")]
    Duplicate,
    /// So many packets after it were opened that nobody knows whether it was.
    #[error("packet too old to tell whether it was opened before")]
    TooOld,
    /// It was sealed before the last key update, and the keys from then were discarded.
    #[error("packet of a key generation that was discarded")]
    MissingGeneration,
    /// It is authentic, and a packet with a larger number was sealed under older keys: the peer broke
    /// the protocol, which ends the connection with KEY_UPDATE_ERROR (RFC 9001 section 6.4).
    #[error("packet under newer keys than one with a larger number")]
    KeyOrder,
    /// It is authentic and has reserved bits set: the peer broke the protocol, which ends the
    /// connection with PROTOCOL_VIOLATION (RFC 9000 section 17.2).
    #[error("reserved bits set in an authentic packet")]
    ReservedBits,
    /// As many packets failed to open as may ([`integrity_limit`]): nothing is opened any more, and the
    /// connection has to be closed with AEAD_LIMIT_REACHED (RFC 9001 section 6.6).
    #[error("integrity limit reached, no further packet is opened")]
    IntegrityLimit,
}

impl PacketOpener {
    /// Opens under the keys of `secret`, with the backend that this process prefers.
    pub fn new(version: Version, secret: TrafficSecret) -> Self {
        let backend = Backend::preferred(secret.algorithm());
        Self::with_backend(version, secret, backend)
    }

    /// As [`new`](Self::new), with a backend of the caller's choice.
    pub fn with_backend(version: Version, secret: TrafficSecret, backend: Backend) -> Self {
        let keys = Expanded::new(version, &secret, backend);
        Self {
            header: keys.header,
            phases: Phases::new(version, keys.packet, secret, backend),
            algorithm: keys.algorithm,
            window: ReplayWindow::default(),
            failures: 0,
            integrity_limit: integrity_limit(keys.algorithm),
        }
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The generation of the current keys: how many key updates of the peer have arrived.
    pub fn generation(&self) -> u64 {
        self.phases.generation()
    }

    /// The largest number opened.
    pub fn largest(&self) -> Option<u64> {
        self.window.next().checked_sub(1)
    }

    /// Says that `number` was opened by another owner of these keys: numbers are expanded near the
    /// largest (RFC 9000 appendix A.3).
    pub fn set_largest(&mut self, number: u64) {
        self.window.commit(number.min(MAX_PACKET_NUMBER));
    }

    /// How many packets failed to authenticate.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Lowers how many may ([`integrity_limit`]); it is never raised. What other owners of these keys
    /// counted has to be taken off.
    pub fn lower_integrity_limit(&mut self, limit: u64) {
        self.integrity_limit = self.integrity_limit.min(limit);
    }

    /// Forgets the keys of before the last key update: three times the probe timeout after it, what is
    /// still on its way is lost (RFC 9001 section 6.5).
    pub fn discard_previous(&mut self) {
        self.phases.discard_previous();
    }

    /// Opens `packet`, exactly one, whose number starts at `number_at`, in place.
    ///
    /// # Errors
    ///
    /// [`Dropped`], with the reason. Nothing a peer sends makes this panic.
    #[inline]
    pub fn open(&mut self, packet: &mut [u8], number_at: usize) -> Result<Opened, Dropped> {
        let sample = sample(packet, number_at).ok_or(Dropped::TooShort)?;
        let mask = self.header.mask(&sample);
        self.open_masked(packet, number_at, &mask)
    }

    /// Opens all of them, in order, and notes in each what became of it; how many opened. It does not
    /// stop at one that does not.
    pub fn open_batch(&mut self, packets: &mut [Incoming<'_>]) -> usize {
        let mut opened = 0;
        for train in packets.chunks_mut(TRAIN) {
            let mut samples = [[0; SAMPLE_LEN]; TRAIN];
            for (packet, place) in train.iter().zip(&mut samples) {
                *place = sample(packet.packet, packet.number_at).unwrap_or_default();
            }
            let mut masks = [[0; 5]; TRAIN];
            self.header.masks(&samples[..train.len()], &mut masks);
            for (packet, mask) in train.iter_mut().zip(&masks) {
                let outcome = self.open_masked(packet.packet, packet.number_at, mask);
                opened += usize::from(outcome.is_ok());
                packet.outcome = Some(outcome);
            }
        }
        opened
    }

    #[inline]
    fn open_masked(
        &mut self,
        packet: &mut [u8],
        number_at: usize,
        mask: &[u8; 5],
    ) -> Result<Opened, Dropped> {
        if self.failures >= self.integrity_limit {
            return Err(Dropped::IntegrityLimit);
        }
        // What `sample` found there is more than the longest number and a tag.
        let tail = packet.last_chunk::<TAG_LEN>().copied();
        let (tail, true) = (
            tail.ok_or(Dropped::TooShort)?,
            is_long_enough(packet, number_at),
        ) else {
            return Err(Dropped::TooShort);
        };
        let hidden = hidden_bits(packet[0]);
        packet[0] ^= mask[0] & hidden;
        let payload_at = number_at + number_len(packet[0]);
        xor(&mut packet[number_at..payload_at], mask);
        let opened = self.open_shown(packet, number_at..payload_at);
        if opened.is_err() {
            packet[0] ^= mask[0] & hidden;
            xor(&mut packet[number_at..payload_at], mask);
            let body = packet.len() - TAG_LEN;
            packet[body..].copy_from_slice(&tail);
        }
        opened
    }

    /// Opens a packet whose header is no longer protected.
    #[inline]
    fn open_shown(&mut self, packet: &mut [u8], place: Range<usize>) -> Result<Opened, Dropped> {
        let (header, sealed) = packet.split_at_mut(place.end);
        let first = header[0];
        let is_short = first & LONG_FORM == 0;
        let number = PacketNumber::decode(&header[place], self.largest());
        let number = number.filter(|number| *number <= MAX_PACKET_NUMBER);
        let number = number.ok_or(Dropped::Forged)?;
        // What is wrong with the number or the phase is said after the AEAD ran, as if nothing were:
        // how long it takes must not tell what header protection hides (RFC 9001 section 9.5).
        let fresh = self.window.check(number);
        // A long header names no phase: such keys have one generation.
        let phase = is_short && first & KEY_PHASE != 0;
        let (turn, key) = self.phases.choose(phase, number);
        let Ok(payload) = key.open_in_place(0, number, header, sealed) else {
            self.failures += 1;
            return Err(self.phases.refusal(turn, number));
        };
        let payload = payload.len();
        fresh.map_err(|why| match why {
            Discard::TooOld => Dropped::TooOld,
            _ => Dropped::Duplicate,
        })?;
        if !self.phases.is_in_order(turn, number, self.largest()) {
            return Err(Dropped::KeyOrder);
        }
        let reserved = if is_short { 0x18 } else { 0x0c };
        if first & reserved != 0 {
            return Err(Dropped::ReservedBits);
        }
        let start = header.len();
        let generation = self.phases.opened(turn, number, self.largest());
        self.window.commit(number);
        Ok(Opened {
            number,
            generation,
            payload: start..start + payload,
        })
    }
}

/// The ciphertext that header protection depends on, if the packet is long enough to be protected.
#[inline]
fn sample(packet: &[u8], number_at: usize) -> Option<[u8; SAMPLE_LEN]> {
    let at = number_at.checked_add(MAX_NUMBER_LEN)?;
    packet.get(at..)?.first_chunk().copied()
}

#[inline]
fn is_long_enough(packet: &[u8], number_at: usize) -> bool {
    number_at > 0 && sample(packet, number_at).is_some()
}

impl fmt::Debug for PacketOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketOpener")
            .field("algorithm", &self.algorithm)
            .field("generation", &self.generation())
            .field("largest", &self.largest())
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
