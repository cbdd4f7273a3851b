#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

mod crypto_info;
pub mod listing;
mod plaintext;
mod receive;
mod transmit;

pub use crypto_info::{CryptoInfo, cipher, parse, wire_version};
pub use plaintext::{Plaintext, Stored};
pub use receive::{Asked, Receive, Received, Sink, Source};
pub use rustix::io::Errno;
pub use transmit::{Lent, Transmit, Wire, is_passing};
