//! What QUIC packet protection promises, against the RFCs, against rustls and as properties.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod batches;
mod ccm;
mod forged;
mod fuzz_entries;
mod key_updates;
mod limits;
mod packets;
mod rustls_keys;
mod rustls_peer;
mod vectors;
