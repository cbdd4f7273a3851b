//! QUIC packet protection: versions 1 (RFC 9001) and 2 (RFC 9369).
//!
//! A [`PacketSealer`] and a [`PacketOpener`] protect the packets of one direction and one packet number
//! space, in place, one by one or in trains. Header protection, packet numbers, the key phase and the
//! limits of RFC 9001 section 6.6 are theirs; frames, acknowledgements and clocks are the caller's.
//!
//! ```rust
//! use underseal_record::quic::{PacketOpener, PacketSealer, Version};
//! use underseal_record::{Algorithm, TrafficSecret};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = || TrafficSecret::new(Algorithm::Aes128Gcm, &[7; 32]);
//! let mut sealer = PacketSealer::new(Version::V1, secret()?);
//! let mut opener = PacketOpener::new(Version::V1, secret()?);
//!
//! // A short header of one byte, no connection ID, a packet number of one byte; then the payload, and
//! // room for the tag.
//! let mut packet = *b"\x40\x00hello................";
//! sealer.seal(&mut packet, 1, 0)?;
//! let opened = opener.open(&mut packet, 1)?;
//! assert_eq!(&packet[opened.payload], b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Algorithms
//!
//! AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305. AES-128-CCM, the fourth that RFC 9001 allows, comes
//! with the feature `ccm`: neither ring nor aws-lc-rs has it, so the crate `ccm` computes it, about as fast
//! as its two passes of AES are. It is optional, and no stack that speaks QUIC with rustls offers it.
//!
//! # Key updates
//!
//! Both sides derive their next keys themselves. An opener holds the keys of the generation before the
//! current one, of the current and of the next, and goes on to the next with the first packet that
//! authenticates under it. A packet whose generation it holds no keys for is refused as
//! [`Dropped::MissingGeneration`]; one whose header does not name the sealer's generation is refused as
//! [`Refused::KeyPhase`]. A refused packet is never sealed under another key than it names.

mod claimed;
mod header;
mod header_key;
mod incoming;
mod limits;
mod number;
mod open;
mod outgoing;
mod packet_key;
mod phases;
mod retry;
mod seal;
mod secrets;
mod version;

pub use claimed::Claimed;
pub use header::{Header, NotProtected, PacketType};
pub use header_key::HeaderKey;
pub use incoming::{Dropped, Incoming, Opened};
pub use limits::{confidentiality_limits, integrity_limit};
pub use number::{MAX_PACKET_NUMBER, PacketNumber};
pub use open::PacketOpener;
pub use outgoing::{Outgoing, Refused};
pub use packet_key::PacketKey;
pub use retry::retry_tag;
pub use seal::PacketSealer;
pub use secrets::{InitialSecrets, header_key, packet_key, update_secret};
pub use version::Version;

/// Most packets whose header protection is computed at once: as many blocks as CPUs have in their AES
/// units together, and so few packets that the first level of the cache has them all when their headers are
/// come back to.
pub(crate) const GROUP: usize = 8;

/// Bytes of the longest packet number on the wire.
pub(crate) const MAX_NUMBER_LEN: usize = 4;

/// Bytes of ciphertext that header protection samples (RFC 9001 section 5.4.2).
pub(crate) const SAMPLE_LEN: usize = 16;

/// The bit of the first byte that tells long headers from short ones (RFC 8999 section 5).
pub(crate) const LONG_FORM: u8 = 0x80;

/// The bit of the first byte of a short header that names the key phase (RFC 9001 section 6).
pub(crate) const KEY_PHASE: u8 = 0x04;
