//! What a peer, or the network, may do wrong: each fault ends in the right alert and the right
//! error, in bounded time, and leaves another connection of the same thread alone.
//!
//! Every fault of an established connection is committed against the blocking and the tokio
//! streams, which must not differ.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod alerts;
mod bystander;
mod control;
mod early_data;
mod endings;
mod greetings;
mod handshakes;
mod records;
mod slow_peers;
mod subject;
