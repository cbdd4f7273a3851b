#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

mod aead;
mod alert;
mod algorithm;
mod backend;
mod content_type;
mod deframe;
pub mod dtls;
mod error;
mod keys;
mod limits;
mod nonce;
mod open;
mod padding;
pub mod quic;
mod seal;
mod secret;
#[doc(hidden)]
pub mod stack;

pub use alert::{AlertDescription, AlertLevel};
pub use algorithm::{Algorithm, ProtocolVersion};
pub use backend::{Backend, UnknownBackend};
pub use content_type::ContentType;
pub use deframe::{Deframed, RecordHeader, deframe};
pub use error::{ApiMisuse, Error, PeerMisbehaved};
pub use keys::{SeqNo, TrafficKeys};
pub use limits::Limits;
pub use open::{Opened, Opener, PlaintextIn};
pub use padding::Padding;
pub use seal::{Sealed, Sealer};
pub use secret::TrafficSecret;

/// Bytes of a record's header: content type, legacy version, length (RFC 8446 section 5.1).
pub const HEADER_LEN: usize = 5;

/// Bytes of the authentication tag of every AEAD that TLS uses here.
pub const TAG_LEN: usize = 16;

/// Most plaintext bytes that one record carries: 2^14 (RFC 8446 section 5.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;

/// Most bytes of one protected record, header included, under either version: TLS 1.2 allows
/// 2048 bytes of expansion (RFC 5246 section 6.2.3), TLS 1.3 only 256.
pub const MAX_RECORD: usize = HEADER_LEN + MAX_PLAINTEXT + 2048;

#[doc(hidden)]
pub mod fuzz;
