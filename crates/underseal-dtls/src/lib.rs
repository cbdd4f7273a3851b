#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums)]

#[cfg(not(target_os = "linux"))]
compile_error!("underseal-dtls knows Linux' UDP sockets and no other");

mod alert;
mod association;
mod batch;
pub mod blocking;
#[doc(hidden)]
pub mod buffers;
mod counters;
mod datagrams;
mod endpoint;
mod error;
#[cfg(feature = "openssl")]
mod handover;
#[cfg(feature = "openssl")]
mod handshake;
#[cfg(feature = "openssl")]
mod handshake_io;
#[cfg(all(feature = "openssl", feature = "tokio"))]
mod listener;
mod parts;
#[cfg(feature = "tokio")]
mod socket;
mod turn;

pub use batch::Batch;
pub use counters::Counters;
pub use datagrams::{Datagrams, is_icmp};
pub use error::Error;
#[cfg(feature = "openssl")]
pub use handover::Refusal;
#[cfg(feature = "openssl")]
pub use handshake_io::HandshakeIo;
#[cfg(all(feature = "openssl", feature = "tokio"))]
pub use listener::{
    DtlsAcceptor, DtlsListener, DtlsPeer, Established, Event, ListenerConfig, ListenerCounters,
    Unadmitted,
};
pub use parts::{ConnectionIds, Parts};
#[cfg(feature = "tokio")]
pub use socket::DtlsSocket;
pub use underseal_record::dtls::Discard;
