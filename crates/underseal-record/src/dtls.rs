//! Records of DTLS 1.2 (RFC 6347), with connection IDs (RFC 9146), and of DTLS 1.3 (RFC 9147).
//!
//! Datagrams are lost, repeated, reordered and forged, and none of that ends an association: what
//! does not open is a [`Discard`], with its reason, and nothing changes. That is where these records
//! differ from those of a stream; keys, nonces and AEADs are the same.
//!
//! ```rust
//! use underseal_record::dtls::{EpochKeys, Opener, ReplayWindow, Sealer};
//! use underseal_record::{Algorithm, ContentType, ProtocolVersion, SeqNo, TrafficKeys};
//!
//! # fn main() -> Result<(), underseal_record::Error> {
//! let keys = || TrafficKeys::new(ProtocolVersion::Tls12, Algorithm::Aes128Gcm, &[1; 16], [2; 12], SeqNo(0));
//! let mut sealer = Sealer::new(EpochKeys::new(keys()?, 1)?);
//! let mut opener = Opener::new(EpochKeys::new(keys()?, 1)?, ReplayWindow::default());
//!
//! let mut datagram = [0; 64];
//! let len = sealer.seal(ContentType::APPLICATION_DATA, b"hello", &mut datagram)?;
//! let mut again = datagram;
//!
//! let opened = opener.open(&mut datagram[..len]).opened.expect("it is authentic");
//! assert_eq!(&datagram[opened.plaintext], b"hello");
//! assert!(opener.open(&mut again[..len]).opened.is_err(), "a record is opened once");
//! # Ok(())
//! # }
//! ```

mod client_hello;
mod connection_id;
mod cookie;
mod discard;
mod epoch;
mod key_update;
mod keys;
mod limits;
mod master_secret;
mod message;
mod number;
mod open;
mod seal;
mod secret;
mod v12;
mod v13;
mod window;

pub use client_hello::{COOKIE_LEN, ClientHello, HELLO_VERIFY_REQUEST_LEN, NoClientHello};
pub use connection_id::ConnectionId;
pub use cookie::CookieKey;
pub use discard::Discard;
pub use key_update::{ACK_LEN, Handled, KEY_UPDATE_LEN, KeyUpdates, acknowledged_numbers};
pub use keys::EpochKeys;
pub use master_secret::{KeyPair, MasterSecret};
pub use message::{message_parts, messages};
pub use number::{RecordNumber, numbered_records, protected_version, shift_plaintext_numbers};
pub use open::{Opened, Opener, Taken};
pub use seal::Sealer;
pub use secret::EpochSecret;
pub use v13::has_unified_header;
pub use window::ReplayWindow;

/// Most bytes of one protected record: the longest header, and what DTLS 1.2 allows behind it
/// (RFC 6347 section 4.1).
pub const MAX_RECORD: usize = 13 + ConnectionId::MAX_LEN + crate::MAX_PLAINTEXT + 2048;
