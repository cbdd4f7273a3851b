#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums)]

#[cfg(not(target_os = "linux"))]
compile_error!("underseal-dtls knows Linux' UDP sockets and no other");

mod alert;
mod association;
mod batch;
pub mod blocking;
#[cfg(feature = "boring")]
pub mod boring;
#[doc(hidden)]
pub mod buffers;
mod counters;
mod datagrams;
#[cfg(any(feature = "boring", feature = "openssl"))]
mod drive;
mod endpoint;
mod error;
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "openssl")]
mod handover;
#[cfg(any(feature = "boring", all(test, feature = "openssl")))]
mod handover13;
#[cfg(feature = "openssl")]
mod handshake;
#[cfg(any(feature = "boring", feature = "openssl"))]
mod handshake_io;
#[cfg(all(feature = "openssl", feature = "tokio"))]
mod listener;
mod parts;
mod post_handshake;
mod programs;
#[cfg(any(feature = "boring", feature = "openssl"))]
mod refusal;
#[cfg(feature = "tokio")]
mod socket;
#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod testing;
mod turn;

pub use batch::Batch;
pub use counters::Counters;
pub use datagrams::{Datagrams, is_icmp};
pub use error::Error;
#[cfg(any(feature = "boring", feature = "openssl"))]
pub use handshake_io::HandshakeIo;
#[cfg(all(feature = "openssl", feature = "tokio"))]
pub use listener::{
    DtlsAcceptor, DtlsListener, DtlsPeer, Established, Event, ListenerConfig, ListenerCounters,
    Unadmitted,
};
pub use parts::{ConnectionIds, Parts};
#[cfg(any(feature = "boring", feature = "openssl"))]
pub use refusal::Refusal;
#[cfg(feature = "tokio")]
pub use socket::DtlsSocket;
pub use underseal_message as message;
pub use underseal_record::dtls::Discard;
