use crate::{Algorithm, Limits, ProtocolVersion};

/// Bytes of a record up to which it counts once towards the limits of DTLS 1.2.
const UNIT: usize = 1 << 11;

/// Records that may fail to authenticate under one key (RFC 9147 section 4.5.3: 2^23.5 with AES-128-CCM;
/// DTLS 1.2 has no figures of its own, and the AEADs are the same).
pub(super) const fn max_forged(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Aes128Ccm => 11_863_283,
        _ => 1 << 36,
    }
}

/// What one key of an epoch may seal, in what [`cost`] counts.
///
/// DTLS 1.3 has TLS 1.3's figures (RFC 9147 section 4.5.3). DTLS 1.2 has none but the 2^48 sequence
/// numbers, and no key update: it gets what keeps AES-GCM's advantage as small for short packets
/// as QUIC does, 2^28 packets of at most 2^11 bytes (RFC 9001 appendix B.1).
pub(super) const fn of(version: ProtocolVersion, algorithm: Algorithm) -> Limits {
    match (version, algorithm) {
        (ProtocolVersion::Tls12, Algorithm::Aes128Gcm | Algorithm::Aes256Gcm) => Limits {
            soft: 1 << 27,
            hard: 1 << 28,
        },
        // Its advantage grows with the square of the packets: halfway is time enough, as above.
        (ProtocolVersion::Tls12, Algorithm::Aes128Ccm) => Limits {
            soft: 1 << 22,
            hard: 1 << 23,
        },
        (version, algorithm) => Limits::of(version, algorithm),
    }
}

/// How much a record with `len` bytes of plaintext counts.
#[inline]
pub(super) const fn cost(version: ProtocolVersion, len: usize) -> u64 {
    match version {
        ProtocolVersion::Tls12 => 1 + (len.saturating_sub(1) / UNIT) as u64,
        ProtocolVersion::Tls13 => 1,
    }
}
