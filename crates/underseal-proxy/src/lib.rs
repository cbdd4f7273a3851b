#![doc = include_str!("../README.md")]
//!
//! A [`Worker`] is given connections; `connection` does the handshake and finds out what is spoken:
//! `http1`, `http2`, or bytes (`tcp`). The first two are faces of one `exchange`, which has a request judged
//! by [`policy`], sent, sent once more, answered and logged, and `upstream` has the connections to backends of
//! either version. All write `log` lines, and so does `datagrams`, which has sockets instead of connections.
#![forbid(unsafe_code)]

mod backend;
mod chunk;
mod connection;
#[cfg(feature = "dtls")]
pub mod datagrams;
mod error;
mod exchange;
mod flow;
mod forwarded;
mod http1;
mod http2;
mod listener;
mod log;
#[doc(hidden)]
pub mod measured;
mod metrics;
mod parts;
mod pipe;
pub mod policy;
mod principal;
mod process;
mod protocol;
mod proxy_protocol;
mod service;
mod session;
mod stream;
mod targets;
mod tcp;
pub mod tls;
mod tokens;
mod tunnel;
mod upstream;
mod values;
mod websocket;
mod worker;

pub use backend::{Address, At, HealthCheck, Name, keep_resolving};
pub use error::Error;
pub use forwarded::{Block, Forwarded, TrustedProxies};
pub use listener::ListenerSettings;
pub use metrics::{Metrics, Reload};
pub use process::{ProcessSettings, Timeouts};
pub use protocol::{ClientAuth, MinTls, PathParameters, Protocol};
pub use service::{Service, ServiceSettings};
pub use session::Session;
pub use targets::Targets;
pub use worker::{Settings, Worker};
