/// Why a record was dropped. Whoever forges datagrams learns none of it: there is no answer to any
/// (RFC 6347 section 4.1.2.7).
///
/// An [`Opener`](super::Opener) gives all but the last two, which are for those who keep records that cannot be opened yet, and
/// who end associations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// The datagram ends inside of a record.
    #[error("datagram ends inside of a record")]
    Truncated,
    /// The record is shorter than what protection adds.
    #[error("record is too short to be protected")]
    TooShort,
    /// The record is longer than the protocol allows.
    #[error("record is too long")]
    Oversized,
    /// The header is not that of a protected record of this version.
    #[error("not a protected record of this version")]
    Header,
    /// Another connection ID than the one that this side chose, or none where one was negotiated.
    #[error("record with another connection ID")]
    ConnectionId,
    /// No keys are kept for the record's epoch.
    #[error("record of an epoch without keys")]
    Epoch,
    /// A record of this number was opened before.
    #[error("record was opened before")]
    Replayed,
    /// The record is older than the window is long.
    #[error("record is older than the replay window")]
    TooOld,
    /// The record does not authenticate.
    #[error("record does not authenticate")]
    Forged,
    /// The record authenticates, and is none that a peer may send.
    #[error("authentic record that may not be sent")]
    Malformed,
    /// Too many records of this epoch did not authenticate: none is opened any more (RFC 9147
    /// section 4.5.3).
    #[error("integrity limit reached, the key opens no further record")]
    IntegrityLimit,
    /// Others took its place before the end of the handshake, when none could be told from forged ones yet.
    #[error("record was displaced by others before the end of the handshake")]
    Displaced,
    /// It came behind the end of its association.
    #[error("record came behind the end of the association")]
    Ended,
}

impl Discard {
    /// How many reasons there are.
    pub const COUNT: usize = 13;

    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Truncated,
        Self::TooShort,
        Self::Oversized,
        Self::Header,
        Self::ConnectionId,
        Self::Epoch,
        Self::Replayed,
        Self::TooOld,
        Self::Forged,
        Self::Malformed,
        Self::IntegrityLimit,
        Self::Displaced,
        Self::Ended,
    ];

    /// Its place in [`Self::ALL`]: for arrays of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used by metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TooShort => "too_short",
            Self::Oversized => "oversized",
            Self::Header => "header",
            Self::ConnectionId => "connection_id",
            Self::Epoch => "epoch",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::IntegrityLimit => "integrity_limit",
            Self::Displaced => "displaced",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_list() {
        for (place, reason) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
    }
}
