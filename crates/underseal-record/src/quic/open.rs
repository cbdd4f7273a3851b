use core::fmt;
use core::ops::Range;

use crate::dtls::{Discard, ReplayWindow};
use crate::quic::header_key::{Mask, show, truncated_number};
use crate::quic::number::expand;
use crate::quic::phases::Phases;
use crate::quic::secrets::Expanded;
use crate::quic::{
    Dropped, GROUP, HeaderKey, Incoming, KEY_PHASE, LONG_FORM, MAX_NUMBER_LEN, MAX_PACKET_NUMBER,
    Opened, SAMPLE_LEN, Version, integrity_limit,
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
        let shown = Shown::of(packet, number_at, &self.header.mask(&sample));
        self.open_shown(packet, &shown.ok_or(Dropped::TooShort)?)
    }

    /// Opens all of them, in order, and notes in each what became of it; how many opened. It does not
    /// stop at one that does not.
    pub fn open_batch(&mut self, packets: &mut [Incoming<'_>]) -> usize {
        let mut opened = 0;
        for group in packets.chunks_mut(GROUP) {
            let mut samples = [[0; SAMPLE_LEN]; GROUP];
            for (one, place) in group.iter().zip(&mut samples) {
                *place = sample(one.packet, one.number_at).unwrap_or_default();
            }
            let mut masks = [Mask::default(); GROUP];
            self.header.masks(&samples[..group.len()], &mut masks);
            for (one, mask) in group.iter_mut().zip(&masks) {
                let outcome = match Shown::of(one.packet, one.number_at, mask) {
                    Some(shown) => self.open_shown(one.packet, &shown),
                    None => Err(Dropped::TooShort),
                };
                opened += usize::from(outcome.is_ok());
                one.outcome = Some(outcome);
            }
        }
        opened
    }

    /// Opens a packet whose header is no longer protected, or makes it what it was.
    #[inline]
    fn open_shown(&mut self, packet: &mut [u8], shown: &Shown) -> Result<Opened, Dropped> {
        let opened = match self.failures < self.integrity_limit {
            true => self.open_payload(packet, shown.number_at..shown.payload_at),
            false => Err(Dropped::IntegrityLimit),
        };
        if opened.is_err() {
            shown.restore(packet);
        }
        opened
    }

    #[inline]
    fn open_payload(&mut self, packet: &mut [u8], place: Range<usize>) -> Result<Opened, Dropped> {
        let truncated = truncated_number(packet, place.start, place.len());
        let number = expand(u64::from(truncated), place.len(), self.largest());
        if number > MAX_PACKET_NUMBER {
            return Err(Dropped::Forged);
        }
        let (header, sealed) = packet.split_at_mut(place.end);
        let first = header[0];
        let is_short = first & LONG_FORM == 0;
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

/// Where things are in a packet whose header is no longer protected, and what it gets back if it does not
/// open: its header, and what may be a stateless reset token.
struct Shown {
    number_at: usize,
    payload_at: usize,
    first: u8,
    number: [u8; MAX_NUMBER_LEN],
    tail: [u8; TAG_LEN],
}

impl Shown {
    /// Shows the header; `None` where the packet is too short to be protected, and nothing was changed.
    #[inline]
    fn of(packet: &mut [u8], number_at: usize, mask: &Mask) -> Option<Self> {
        sample(packet, number_at)?;
        let (first, tail) = (packet[0], *packet.last_chunk()?);
        let number = *packet.get(number_at..)?.first_chunk()?;
        Some(Self {
            number_at,
            payload_at: show(mask, packet, number_at),
            first,
            number,
            tail,
        })
    }

    #[cold]
    fn restore(&self, packet: &mut [u8]) {
        packet[0] = self.first;
        let number = self.number_at..self.number_at + MAX_NUMBER_LEN;
        packet[number].copy_from_slice(&self.number);
        let tail = packet.len() - TAG_LEN;
        packet[tail..].copy_from_slice(&self.tail);
    }
}

/// The ciphertext that header protection depends on, if the packet is long enough to be protected.
#[inline]
fn sample(packet: &[u8], number_at: usize) -> Option<[u8; SAMPLE_LEN]> {
    if number_at == 0 {
        return None;
    }
    let at = number_at.checked_add(MAX_NUMBER_LEN)?;
    packet.get(at..)?.first_chunk().copied()
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
