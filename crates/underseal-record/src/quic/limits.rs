use crate::{Algorithm, Limits};

/// 2^21.5: what a key of AES-128-CCM may seal, and what may fail to open.
const CCM: u64 = 2_965_820;

/// How many packets one key may seal (RFC 9001 section 6.6): 2^23 with AES-GCM and 2^21.5 with
/// AES-128-CCM, whatever their size; ChaCha20-Poly1305 is bounded by packet numbers alone.
///
/// From seven eighths on a key update is asked for: at 10 Gbit/s of full packets that leaves more than
/// a second for the acknowledgement that an update has to wait for.
pub const fn confidentiality_limits(algorithm: Algorithm) -> Limits {
    match algorithm {
        Algorithm::ChaCha20Poly1305 => Limits {
            soft: u64::MAX,
            hard: u64::MAX,
        },
        Algorithm::Aes128Ccm => Limits {
            soft: CCM - CCM / 8,
            hard: CCM,
        },
        Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => Limits {
            soft: (1 << 23) - (1 << 20),
            hard: 1 << 23,
        },
    }
}

/// How many packets of a connection may fail to open, all its keys together, before it must be closed
/// (RFC 9001 section 6.6).
pub const fn integrity_limit(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::ChaCha20Poly1305 => 1 << 36,
        Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => 1 << 52,
        Algorithm::Aes128Ccm => CCM,
    }
}
