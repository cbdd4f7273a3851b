use core::fmt;
use std::sync::Arc;

use crate::quic::claimed::{Claimed, Layout, payload_at};
use crate::quic::header_key::{apply, number_len, truncated_number};
use crate::quic::number::lowest;
use crate::quic::secrets::{self, Expanded};
use crate::quic::{
    HeaderKey, KEY_PHASE, LONG_FORM, MAX_PACKET_NUMBER, Outgoing, PacketKey, PacketNumber, Refused,
    Version, confidentiality_limits,
};
use crate::{Algorithm, Backend, Limits, TrafficSecret};

/// Seals the packets of one direction and one packet number space.
///
/// It is the one owner of its packet numbers: each is larger than the one before, so that none is used
/// twice, whatever the caller does. Of a space that another sealer has used before, it must be told
/// ([`skip_to`](Self::skip_to)).
pub struct PacketSealer {
    version: Version,
    backend: Backend,
    header: Arc<HeaderKey>,
    packet: Arc<PacketKey>,
    /// Of the current generation.
    secret: TrafficSecret,
    algorithm: Algorithm,
    generation: u64,
    /// The smallest number that was not used yet.
    next: u64,
    /// The first number of this generation.
    first: u64,
    /// Packets sealed under this key.
    sealed: u64,
    limits: Limits,
}

impl PacketSealer {
    /// Seals under the keys of `secret`, from packet number zero, with the backend that this process
    /// prefers.
    pub fn new(version: Version, secret: TrafficSecret) -> Self {
        let backend = Backend::preferred(secret.algorithm());
        Self::with_backend(version, secret, backend)
    }

    /// As [`new`](Self::new), with a backend of the caller's choice.
    pub fn with_backend(version: Version, secret: TrafficSecret, backend: Backend) -> Self {
        let keys = Expanded::new(version, &secret, backend);
        Self {
            version,
            backend,
            header: Arc::new(keys.header),
            packet: Arc::new(keys.packet),
            secret,
            algorithm: keys.algorithm,
            generation: 0,
            next: 0,
            first: 0,
            sealed: 0,
            limits: confidentiality_limits(keys.algorithm),
        }
    }

    /// Uses no number below `next`, as after another owner of these keys; numbers never go back.
    ///
    /// What that owner sealed counts as sealed here.
    pub fn skip_to(&mut self, next: u64) {
        let next = next.min(MAX_PACKET_NUMBER + 1);
        if next > self.next {
            self.sealed = self.sealed.saturating_add(next - self.next);
            self.next = next;
        }
    }

    /// Lowers the limits of [`confidentiality_limits`]; they are never raised.
    pub fn lower_limits(&mut self, limits: Limits) {
        self.limits = self.limits.lowered_to(limits);
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The generation of the current key: how many key updates there were.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The key phase that short headers have to name.
    pub fn key_phase(&self) -> bool {
        self.generation % 2 == 1
    }

    /// The smallest number that was not used yet.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Whether the key has sealed so much that it should be updated.
    pub fn wants_update(&self) -> bool {
        self.sealed >= self.limits.soft
    }

    /// Starts a key update. `acknowledged` is the largest number that the peer has acknowledged in this
    /// space; and the handshake has to be confirmed, which only the caller knows.
    ///
    /// # Errors
    ///
    /// [`Refused::UpdateTooEarly`].
    pub fn update(&mut self, acknowledged: Option<u64>) -> Result<(), Refused> {
        if acknowledged.is_none_or(|number| number < self.first || number >= self.next) {
            return Err(Refused::UpdateTooEarly);
        }
        self.advance();
        Ok(())
    }

    /// Answers a key update of the peer's: goes on to `generation`, that of a packet that was opened, if
    /// it is the next. Whether it was.
    ///
    /// # Errors
    ///
    /// [`Refused::PeerTooFarAhead`].
    pub fn follow(&mut self, generation: u64) -> Result<bool, Refused> {
        match generation.saturating_sub(self.generation) {
            0 => Ok(false),
            1 => {
                self.advance();
                Ok(true)
            }
            _ => Err(Refused::PeerTooFarAhead),
        }
    }

    #[cold]
    fn advance(&mut self) {
        secrets::update_secret(self.version, &mut self.secret);
        let packet = secrets::packet_key(self.version, &self.secret, self.backend);
        self.packet = Arc::new(packet);
        self.generation += 1;
        self.first = self.next;
        self.sealed = 0;
    }

    /// Seals one packet in place: header and packet number, payload, and [`TAG_LEN`](crate::TAG_LEN) bytes of room for
    /// the tag. `number_at` is where the number starts, whose last bytes are in the header already.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the packet is unchanged then.
    #[inline]
    pub fn seal(
        &mut self,
        packet: &mut [u8],
        number_at: usize,
        number: u64,
    ) -> Result<(), Refused> {
        let payload_at = self.take(packet, number_at, number)?;
        let layout = Layout {
            number_at,
            payload_at,
            number,
        };
        let sample = layout.seal_payload(&self.packet, packet)?;
        apply(&self.header.mask(&sample), packet, number_at);
        Ok(())
    }

    /// Seals all of them, in order, and notes in each what became of it; how many were sealed. It does
    /// not stop at one that was refused.
    pub fn seal_batch(&mut self, packets: &mut [Outgoing<'_>]) -> usize {
        self.claim(packets).seal()
    }

    /// Takes the numbers of all of them, and the keys to seal them with. The sealer is free for others
    /// meanwhile: who shares it has to hold its lock for this only.
    pub fn claim<'p, 'a>(&mut self, packets: &'p mut [Outgoing<'a>]) -> Claimed<'p, 'a> {
        for one in packets.iter_mut() {
            let taken = self.take(one.packet, one.number_at, one.number);
            one.outcome = taken.err().map(Err);
        }
        Claimed::new(packets, Arc::clone(&self.header), Arc::clone(&self.packet))
    }

    /// Gives each of `packets` the next number, and writes it and the key phase into its header, whose
    /// other bits stay.
    pub fn write_numbers(&self, packets: &mut [Outgoing<'_>]) {
        for (number, one) in (self.next..).zip(packets) {
            one.number = number;
            let Some(first) = one.packet.first_mut() else {
                continue;
            };
            if *first & LONG_FORM == 0 {
                *first = (*first & !KEY_PHASE) | (u8::from(self.key_phase()) * KEY_PHASE);
            }
            let len = number_len(*first);
            let place = one.packet.get_mut(one.number_at..);
            if let Some(place) = place.and_then(|place| place.get_mut(..len)) {
                place.copy_from_slice(PacketNumber::truncated(number, len).as_bytes());
            }
        }
    }

    /// Makes the number of a packet that may be sealed one that was used; where its payload starts.
    #[inline]
    fn take(&mut self, packet: &[u8], number_at: usize, number: u64) -> Result<usize, Refused> {
        let payload_at = self.check(packet, number_at, number)?;
        self.next = number + 1;
        self.sealed += 1;
        Ok(payload_at)
    }

    /// Whether it may be sealed, and where its payload starts.
    #[inline]
    fn check(&self, packet: &[u8], number_at: usize, number: u64) -> Result<usize, Refused> {
        let payload_at = payload_at(packet, number_at).ok_or(Refused::TooShort)?;
        if number > MAX_PACKET_NUMBER {
            return Err(Refused::NumberTooLarge);
        }
        if number < self.next {
            return Err(Refused::NumberUsed { next: self.next });
        }
        let first = packet[0];
        let phase = first & LONG_FORM == 0 && first & KEY_PHASE != 0;
        if phase != self.key_phase() {
            return Err(Refused::KeyPhase);
        }
        let len = payload_at - number_at;
        if truncated_number(packet, number_at, len) != lowest(number, len) {
            return Err(Refused::NumberDiffers);
        }
        if self.sealed >= self.limits.hard {
            return Err(Refused::ConfidentialityLimit);
        }
        Ok(payload_at)
    }
}

impl fmt::Debug for PacketSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketSealer")
            .field("algorithm", &self.algorithm)
            .field("generation", &self.generation)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
