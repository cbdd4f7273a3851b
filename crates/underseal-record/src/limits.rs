use crate::{Algorithm, ProtocolVersion};

/// How many records one key may seal.
///
/// A key that seals more leaks a measurable advantage to an observer (RFC 8446 section 5.5,
/// RFC 9147 section 4.5.3 for the figures of the other suites).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From this many records on the owner of the key is asked for a key update; at the last record
    /// before `hard`, which can carry it, if that comes first.
    pub soft: u64,
    /// At this many records sealing is refused.
    pub hard: u64,
}

impl Limits {
    /// The limits of `algorithm` under `version`.
    ///
    /// AES-GCM stops at 2^24 full-size records under TLS 1.3 and, one power of two earlier because
    /// no key update can follow, at 2^23 under TLS 1.2. ChaCha20-Poly1305 is bounded by the
    /// sequence number alone, AES-128-CCM stops at 2^23 records (RFC 9147 section 4.5.3).
    pub const fn of(version: ProtocolVersion, algorithm: Algorithm) -> Self {
        match (algorithm, version) {
            (Algorithm::ChaCha20Poly1305, _) => Self {
                soft: u64::MAX - (1 << 16),
                hard: u64::MAX,
            },
            (Algorithm::Aes128Ccm, ProtocolVersion::Tls13) => Self {
                soft: (1 << 23) - (1 << 20),
                hard: 1 << 23,
            },
            (_, ProtocolVersion::Tls13) => Self {
                soft: (1 << 24) - (1 << 21),
                hard: 1 << 24,
            },
            (_, ProtocolVersion::Tls12) => Self {
                soft: u64::MAX,
                hard: 1 << 23,
            },
        }
    }

    /// The records that a key seals before the one that carries a KeyUpdate.
    pub const fn before_key_update(self) -> u64 {
        let last = self.hard.saturating_sub(1);
        if self.soft < last { self.soft } else { last }
    }

    /// These limits, lowered to `other` where `other` is lower: limits are never raised.
    #[must_use]
    pub const fn lowered_to(self, other: Self) -> Self {
        Self {
            soft: if other.soft < self.soft {
                other.soft
            } else {
                self.soft
            },
            hard: if other.hard < self.hard {
                other.hard
            } else {
                self.hard
            },
        }
    }
}
