//! From secrets to keys (RFC 9001 section 5.1).

use crate::quic::{HeaderKey, PacketKey, Version};
use crate::{Algorithm, Backend, TrafficKeys, TrafficSecret};

/// The secrets of Initial packets, which everybody can derive who saw the first of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct InitialSecrets {
    /// Of the packets that the client sends.
    pub client: TrafficSecret,
    /// Of the packets that the server sends.
    pub server: TrafficSecret,
}

impl InitialSecrets {
    /// Derives them from the destination connection ID of the client's first Initial packet
    /// (RFC 9001 section 5.2).
    pub fn new(version: Version, destination: &[u8]) -> Self {
        let secret = |label| TrafficSecret::extracted(version.initial_salt(), destination, label);
        Self {
            client: secret(b"client in"),
            server: secret(b"server in"),
        }
    }
}

/// The keys for the payloads of packets under `secret`. Sealing under them twice is the caller's fault
/// and fatal, as with [`TrafficSecret::keys`].
pub fn packet_key(version: Version, secret: &TrafficSecret, backend: Backend) -> PacketKey {
    PacketKey::of(&traffic_keys(version, secret), backend)
}

fn traffic_keys(version: Version, secret: &TrafficSecret) -> TrafficKeys {
    secret.keys_under(version.key_label(), version.iv_label())
}

/// The key for the headers of packets under `secret`, the first of its direction.
pub fn header_key(version: Version, secret: &TrafficSecret, backend: Backend) -> HeaderKey {
    secret.with_expanded(version.header_label(), |key| {
        HeaderKey::with_backend(secret.algorithm(), key, backend)
            .expect("the secret was asked for a key of this length")
    })
}

/// Makes `secret` that of the next generation (RFC 9001 section 6.1), whose packets have another
/// [`packet_key`] and the same [`header_key`].
pub fn update_secret(version: Version, secret: &mut TrafficSecret) {
    secret.update_under(version.update_label());
}

/// Everything of a direction at its start.
pub(crate) struct Expanded {
    pub(crate) header: HeaderKey,
    pub(crate) packet: PacketKey,
    pub(crate) algorithm: Algorithm,
}

impl Expanded {
    pub(crate) fn new(version: Version, secret: &TrafficSecret, backend: Backend) -> Self {
        Self {
            header: header_key(version, secret, backend),
            packet: packet_key(version, secret, backend),
            algorithm: secret.algorithm(),
        }
    }
}
