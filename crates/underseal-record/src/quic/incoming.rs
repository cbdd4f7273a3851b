use core::ops::Range;

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
    /// As many packets failed to open as may ([`integrity_limit`](crate::quic::integrity_limit)): nothing is opened any more, and the
    /// connection has to be closed with AEAD_LIMIT_REACHED (RFC 9001 section 6.6).
    #[error("integrity limit reached, no further packet is opened")]
    IntegrityLimit,
}

impl Dropped {
    /// How many reasons there are.
    pub const COUNT: usize = 8;

    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::TooShort,
        Self::Forged,
        Self::Duplicate,
        Self::TooOld,
        Self::MissingGeneration,
        Self::KeyOrder,
        Self::ReservedBits,
        Self::IntegrityLimit,
    ];

    /// Its place in [`Self::ALL`]: for arrays of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used by metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Forged => "forged",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::MissingGeneration => "missing_generation",
            Self::KeyOrder => "key_order",
            Self::ReservedBits => "reserved_bits",
            Self::IntegrityLimit => "integrity_limit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_list() {
        for (place, reason) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
    }
}
