//! Packet numbers on the wire: their last bytes, and how to find the rest (RFC 9000 appendix A).

use crate::quic::MAX_NUMBER_LEN;

/// The largest packet number (RFC 9000 section 12.3).
pub const MAX_PACKET_NUMBER: u64 = (1 << 62) - 1;

/// A packet number as a header carries it: its last one to four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketNumber {
    bytes: [u8; MAX_NUMBER_LEN],
    len: usize,
}

impl PacketNumber {
    /// `number` in as few bytes as tell it from all that the peer may still wait for, after it
    /// acknowledged `largest_acknowledged` (RFC 9000 appendix A.2).
    ///
    /// `None` where `number` is not above that, is above [`MAX_PACKET_NUMBER`], or is so far away that
    /// four bytes do not tell.
    pub fn encode(number: u64, largest_acknowledged: Option<u64>) -> Option<Self> {
        if number > MAX_PACKET_NUMBER {
            return None;
        }
        let unacknowledged = match largest_acknowledged {
            Some(acknowledged) => number.checked_sub(acknowledged).filter(|gap| *gap > 0)?,
            None => number + 1,
        };
        // More than twice the gap must fit.
        let len = (1..=MAX_NUMBER_LEN).find(|len| 2 * unacknowledged < 1 << (8 * len))?;
        Some(Self::truncated(number, len))
    }

    /// The last `len` bytes of `number`, one to four.
    pub(crate) fn truncated(number: u64, len: usize) -> Self {
        let bytes = (number as u32) << (8 * (MAX_NUMBER_LEN - len));
        Self {
            bytes: bytes.to_be_bytes(),
            len,
        }
    }

    /// The number among all that end in `bytes` (one to four) that is nearest to the one after
    /// `largest`, the largest number opened so far (RFC 9000 appendix A.3).
    ///
    /// `None` if `bytes` has another length.
    pub fn decode(bytes: &[u8], largest: Option<u64>) -> Option<u64> {
        if bytes.is_empty() || bytes.len() > MAX_NUMBER_LEN {
            return None;
        }
        let truncated = bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte));
        Some(expand(truncated, bytes.len(), largest))
    }

    /// The bytes for the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What the last two bits of the first byte have to say of it: its length less one.
    pub fn length_bits(&self) -> u8 {
        (self.len - 1) as u8
    }
}

/// What the last `len` bytes of `number` say, one to four.
#[inline]
pub(crate) fn lowest(number: u64, len: usize) -> u32 {
    number as u32 & (u32::MAX >> (8 * (MAX_NUMBER_LEN - len)))
}

/// As [`PacketNumber::decode`], of what `len` bytes say.
#[inline]
pub(crate) fn expand(truncated: u64, len: usize, largest: Option<u64>) -> u64 {
    let expected = largest.map_or(0, |largest| largest.min(MAX_PACKET_NUMBER) + 1);
    let window = 1 << (8 * len);
    let half = window / 2;
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + half <= expected && candidate <= MAX_PACKET_NUMBER - window {
        candidate + window
    } else if candidate > expected + half && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_are_encoded_and_decoded() {
        let two = PacketNumber::encode(0xac5c02, Some(0xabe8b3)).unwrap();
        assert_eq!(two.as_bytes(), [0x5c, 0x02]);
        let three = PacketNumber::encode(0xace8fe, Some(0xabe8b3)).unwrap();
        assert_eq!(three.as_bytes(), [0xac, 0xe8, 0xfe]);
        assert_eq!(
            PacketNumber::decode(&[0x9b, 0x32], Some(0xa82f30ea)),
            Some(0xa82f9b32)
        );
    }

    #[test]
    fn numbers_that_no_header_can_carry_are_refused() {
        assert_eq!(
            PacketNumber::encode(MAX_PACKET_NUMBER + 1, Some(MAX_PACKET_NUMBER)),
            None
        );
        assert_eq!(PacketNumber::encode(7, Some(7)), None);
        assert_eq!(PacketNumber::encode(1 << 40, None), None);
        assert_eq!(PacketNumber::decode(&[], None), None);
        assert_eq!(PacketNumber::decode(&[0; 5], None), None);
    }

    /// Appendix A.3 word for word, in numbers that cannot overflow.
    fn as_the_rfc_says(truncated: u64, len: usize, largest: Option<u64>) -> u64 {
        let expected = largest.map_or(0, |largest| i128::from(largest) + 1);
        let window = 1_i128 << (8 * len);
        let half = window / 2;
        let candidate = (expected & !(window - 1)) | i128::from(truncated);
        let number = if candidate <= expected - half && candidate < (1 << 62) - window {
            candidate + window
        } else if candidate > expected + half && candidate >= window {
            candidate - window
        } else {
            candidate
        };
        u64::try_from(number).unwrap()
    }

    proptest! {
        #[test]
        fn the_peer_finds_the_number_whatever_it_has_not_received(
            acknowledged in 0..MAX_PACKET_NUMBER - (1 << 31),
            gap in 1_u64..1 << 31,
            received in any::<prop::sample::Index>(),
        ) {
            let number = acknowledged + gap;
            let received = acknowledged + received.index(gap as usize) as u64;
            let encoded = PacketNumber::encode(number, Some(acknowledged));
            let encoded = encoded.filter(|_| 2 * gap < 1 << 32);
            if let Some(encoded) = encoded {
                let len = usize::from(encoded.length_bits()) + 1;
                prop_assert_eq!(len, encoded.as_bytes().len());
                let decoded = PacketNumber::decode(encoded.as_bytes(), Some(received));
                prop_assert_eq!(decoded, Some(number));
            }
        }

        #[test]
        fn decoding_agrees_with_the_pseudocode_of_the_rfc(
            bytes in prop::collection::vec(any::<u8>(), 1..=4),
            largest in prop::option::of(prop_oneof![
                0..=MAX_PACKET_NUMBER,
                MAX_PACKET_NUMBER - (1 << 33)..=MAX_PACKET_NUMBER,
                0_u64..1 << 33,
            ]),
        ) {
            let truncated = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
            let decoded = PacketNumber::decode(&bytes, largest);
            prop_assert_eq!(decoded, Some(as_the_rfc_says(truncated, bytes.len(), largest)));
        }

        #[test]
        fn the_first_numbers_of_a_space_need_no_acknowledgement(number in 0_u64..(1 << 31) - 1) {
            let encoded = PacketNumber::encode(number, None).unwrap();
            prop_assert_eq!(PacketNumber::decode(encoded.as_bytes(), None), Some(number));
        }
    }
}
