#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums)]

#[cfg(not(target_os = "linux"))]
compile_error!("underseal runs on Linux only: it uses Linux' sockets, pipes and kernel TLS");

mod backend;
mod backoff;
mod buffers;
mod engine;
mod errno;
mod error;
mod established;
mod exporter;
mod file;
mod handover;
mod handshake;
mod lingering;
mod offload;
mod parts;
mod session;
mod splice;
mod transport;

pub mod blocking;
#[cfg(feature = "tokio")]
pub mod client;
#[cfg(feature = "tokio")]
mod lazy;
#[cfg(feature = "tokio")]
mod mid_handshake;
#[cfg(feature = "tokio")]
pub mod mux;
#[cfg(feature = "tokio")]
pub mod server;
#[cfg(feature = "tokio")]
mod stream;
#[cfg(feature = "tokio")]
mod tls_stream;
#[cfg(feature = "tokio")]
mod wakers;

pub use backend::{BACKEND_VARIABLE, aead_backend};
pub use engine::{Counters, KeyUpdateRequest};
pub use errno::Errno;
pub use error::{Error, PeerMisbehaved};
pub use established::{Established, Way};
pub use lingering::Linger;
#[cfg(feature = "tokio")]
pub use lingering::linger;
pub use offload::{Engine, Engines, OFFLOAD_VARIABLE, Offload, Offloads, Refusal, UnknownOffload};
#[doc(hidden)]
pub use parts::fuzz;
pub use parts::{InvalidParts, Movable, Parts};
pub use rustls;
pub use session::{ClientConnection, CommonState, Connection, ServerConnection};
pub use underseal_message as message;
pub use underseal_record as record;
pub use underseal_sys::tls::Direction;

#[cfg(feature = "tokio")]
pub use client::{Connect, FallibleConnect, TlsConnector, TlsConnectorWithAlpn};
#[cfg(feature = "tokio")]
pub use lazy::{LazyConfigAcceptor, StartHandshake};
#[cfg(feature = "tokio")]
pub use mux::Mux;
#[cfg(feature = "tokio")]
pub use server::{Accept, FallibleAccept, TlsAcceptor};
#[cfg(feature = "tokio")]
pub use stream::Stream;
#[cfg(feature = "tokio")]
pub use tls_stream::TlsStream;

/// Compiles the examples of the repository's front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
