//! quinn with our provider on one side or on both, over loopback.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod endpoints;
mod handshakes;
mod key_updates;
#[cfg(feature = "quinn")]
mod keys;
#[cfg(feature = "quinn")]
mod trains;
mod transfers;
