use core::fmt;

use crate::quic::header_key::{hidden_bits, number_len, xor};
use crate::quic::secrets::{self, Expanded};
use crate::quic::{
    HeaderKey, KEY_PHASE, LONG_FORM, MAX_NUMBER_LEN, MAX_PACKET_NUMBER, PacketKey, PacketNumber,
    SAMPLE_LEN, TRAIN, Version, confidentiality_limits,
};
use crate::{Algorithm, Backend, Limits, TAG_LEN, TrafficSecret};

/// Seals the packets of one direction and one packet number space.
///
/// It is the one owner of its packet numbers: each is larger than the one before, so that none is used
/// twice, whatever the caller does. Of a space that another sealer has used before, it must be told
/// ([`skip_to`](Self::skip_to)).
pub struct PacketSealer {
    version: Version,
    backend: Backend,
    header: HeaderKey,
    packet: PacketKey,
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

/// A packet of a batch to seal, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// The header with the packet number, the payload, and [`TAG_LEN`] bytes of room for the tag.
    pub packet: &'a mut [u8],
    /// Where the packet number starts.
    pub number_at: usize,
    /// The whole packet number.
    pub number: u64,
    /// `None` before it was tried.
    pub outcome: Option<Result<(), Refused>>,
}

impl<'a> Outgoing<'a> {
    /// A packet that was not tried yet.
    pub fn new(packet: &'a mut [u8], number_at: usize, number: u64) -> Self {
        Self {
            packet,
            number_at,
            number,
            outcome: None,
        }
    }
}

/// Why a packet was not sealed, or a key not updated. The packet is as it was: plaintext, which must
/// not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Packet number and payload have fewer than four bytes together, or there is no room for the tag:
    /// pad it (RFC 9001 section 5.4.2).
    #[error("packet too short to be protected")]
    TooShort,
    /// The number is not above all that were used.
    #[error("packet number was used, the next is {next}")]
    NumberUsed {
        /// The smallest that was not.
        next: u64,
    },
    /// The number is above [`MAX_PACKET_NUMBER`].
    #[error("packet number too large")]
    NumberTooLarge,
    /// The header has another number than the packet.
    #[error("packet number in the header is of another packet")]
    NumberDiffers,
    /// The header names another key phase than that of the current generation: it was written before a
    /// key update, or for one that has not come. There are no keys for it here.
    #[error("no keys for the key phase in the header")]
    KeyPhase,
    /// The key has sealed as many packets as it may ([`confidentiality_limits`]): update it, or close
    /// the connection.
    #[error("confidentiality limit reached, the key may seal no further packet")]
    ConfidentialityLimit,
    /// The peer has acknowledged no packet of this generation (RFC 9001 section 6.1).
    #[error("key update before a packet of this generation was acknowledged")]
    UpdateTooEarly,
    /// The peer is two generations ahead: it updated its key again before the first update was answered,
    /// which ends the connection with KEY_UPDATE_ERROR (RFC 9001 section 6.2).
    #[error("peer updated its key twice without an answer")]
    PeerTooFarAhead,
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
            header: keys.header,
            packet: keys.packet,
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
        secrets::update(self.version, &mut self.secret);
        self.packet = secrets::packet_key(self.version, &self.secret, self.backend);
        self.generation += 1;
        self.first = self.next;
        self.sealed = 0;
    }

    /// Seals one packet in place: header and packet number, payload, and [`TAG_LEN`] bytes of room for
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
        let sample = self.seal_payload(packet, number_at, number)?;
        let mask = self.header.mask(&sample);
        protect(packet, number_at, &mask);
        Ok(())
    }

    /// Seals all of them, in order, and notes in each what became of it; how many were sealed. It does
    /// not stop at one that was refused.
    pub fn seal_batch(&mut self, packets: &mut [Outgoing<'_>]) -> usize {
        let mut sealed = 0;
        for train in packets.chunks_mut(TRAIN) {
            let mut samples = [[0; SAMPLE_LEN]; TRAIN];
            for (one, place) in train.iter_mut().zip(&mut samples) {
                let sample = self.seal_payload(one.packet, one.number_at, one.number);
                one.outcome = Some(sample.map(|sample| *place = sample));
            }
            let mut masks = [[0; 5]; TRAIN];
            self.header.masks(&samples[..train.len()], &mut masks);
            for (one, mask) in train.iter_mut().zip(&masks) {
                if one.outcome == Some(Ok(())) {
                    protect(one.packet, one.number_at, mask);
                    sealed += 1;
                }
            }
        }
        sealed
    }

    /// All but header protection; what that depends on.
    #[inline]
    fn seal_payload(
        &mut self,
        packet: &mut [u8],
        number_at: usize,
        number: u64,
    ) -> Result<[u8; SAMPLE_LEN], Refused> {
        let payload_at = self.check(packet, number_at, number)?;
        let Some((unsealed, room)) = packet.split_last_chunk_mut::<TAG_LEN>() else {
            return Err(Refused::TooShort);
        };
        let (header, payload) = unsealed.split_at_mut(payload_at);
        // From here on the number is used, whatever becomes of the packet.
        self.next = number + 1;
        self.sealed += 1;
        let tag = self.packet.seal_in_place(0, number, header, payload);
        *room = tag.map_err(|_| Refused::ConfidentialityLimit)?;
        let sample = packet.get(number_at + MAX_NUMBER_LEN..);
        let sample = sample.and_then(|rest| rest.first_chunk().copied());
        sample.ok_or(Refused::TooShort)
    }

    /// Whether it may be sealed, and where its payload starts.
    #[inline]
    fn check(&self, packet: &[u8], number_at: usize, number: u64) -> Result<usize, Refused> {
        let need = number_at.checked_add(MAX_NUMBER_LEN + SAMPLE_LEN);
        if number_at == 0 || need.is_none_or(|need| packet.len() < need) {
            return Err(Refused::TooShort);
        }
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
        let payload_at = number_at + number_len(first);
        let truncated = PacketNumber::truncated(number, number_len(first));
        if packet[number_at..payload_at] != *truncated.as_bytes() {
            return Err(Refused::NumberDiffers);
        }
        if self.sealed >= self.limits.hard {
            return Err(Refused::ConfidentialityLimit);
        }
        Ok(payload_at)
    }
}

#[inline]
fn protect(packet: &mut [u8], number_at: usize, mask: &[u8; 5]) {
    let first = packet[0];
    packet[0] = first ^ (mask[0] & hidden_bits(first));
    xor(&mut packet[number_at..number_at + number_len(first)], mask);
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
