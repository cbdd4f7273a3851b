use std::sync::Arc;

use crate::TAG_LEN;
use crate::quic::header_key::{Mask, apply, number_len};
use crate::quic::{GROUP, HeaderKey, MAX_NUMBER_LEN, Outgoing, PacketKey, Refused, SAMPLE_LEN};

/// Packets whose numbers were taken, and the keys to seal them with
/// ([`PacketSealer::claim`](crate::quic::PacketSealer::claim)).
///
/// Dropped, it leaves them as they are, and their numbers used.
#[must_use = "packets are sealed by `seal`"]
pub struct Claimed<'p, 'a> {
    packets: &'p mut [Outgoing<'a>],
    header: Arc<HeaderKey>,
    packet: Arc<PacketKey>,
}

impl<'p, 'a> Claimed<'p, 'a> {
    /// Those of `packets` that have an outcome were refused.
    pub(crate) fn new(
        packets: &'p mut [Outgoing<'a>],
        header: Arc<HeaderKey>,
        packet: Arc<PacketKey>,
    ) -> Self {
        Self {
            packets,
            header,
            packet,
        }
    }

    /// Seals all that were not refused, and notes in each what became of it; how many were sealed.
    pub fn seal(self) -> usize {
        let mut sealed = 0;
        for group in self.packets.chunks_mut(GROUP) {
            let mut samples = [[0; SAMPLE_LEN]; GROUP];
            for (one, sample) in group.iter_mut().zip(&mut samples) {
                if one.outcome.is_none() {
                    let layout = Layout::of(one);
                    let made = layout.seal_payload(&self.packet, one.packet);
                    one.outcome = Some(made.map(|made| *sample = made));
                }
            }
            let mut masks = [Mask::default(); GROUP];
            self.header.masks(&samples[..group.len()], &mut masks);
            for (one, mask) in group.iter_mut().zip(&masks) {
                if one.outcome == Some(Ok(())) {
                    apply(mask, one.packet, one.number_at);
                    sealed += 1;
                }
            }
        }
        sealed
    }
}

impl core::fmt::Debug for Claimed<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Claimed")
            .field("packets", &self.packets.len())
            .finish_non_exhaustive()
    }
}

/// Where the payload of a packet starts, if that is long enough to be protected.
#[inline]
pub(crate) fn payload_at(packet: &[u8], number_at: usize) -> Option<usize> {
    let need = number_at.checked_add(MAX_NUMBER_LEN + SAMPLE_LEN)?;
    let is_long_enough = number_at > 0 && packet.len() >= need;
    is_long_enough.then(|| number_at + number_len(packet[0]))
}

/// Where things are in a packet that was checked.
pub(crate) struct Layout {
    pub(crate) number_at: usize,
    pub(crate) payload_at: usize,
    pub(crate) number: u64,
}

impl Layout {
    #[inline]
    fn of(one: &Outgoing<'_>) -> Self {
        Self {
            number_at: one.number_at,
            payload_at: one.number_at + number_len(one.packet[0]),
            number: one.number,
        }
    }

    /// Seals all but the header; what that is protected with.
    #[inline]
    pub(crate) fn seal_payload(
        &self,
        key: &PacketKey,
        packet: &mut [u8],
    ) -> Result<[u8; SAMPLE_LEN], Refused> {
        let Some((unsealed, room)) = packet.split_last_chunk_mut::<TAG_LEN>() else {
            return Err(Refused::TooShort);
        };
        let (header, payload) = unsealed.split_at_mut(self.payload_at);
        let sealed = key.seal_beside(0, self.number, header, payload, room);
        sealed.map_err(|_| Refused::ConfidentialityLimit)?;
        let sample = packet.get(self.number_at + MAX_NUMBER_LEN..);
        let sample = sample.and_then(|rest| rest.first_chunk().copied());
        sample.ok_or(Refused::TooShort)
    }
}
