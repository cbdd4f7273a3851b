//! What the record layer promises, against the RFCs, against rustls and as properties.
//!
//! One binary, so that the AEAD libraries are linked once.

#![cfg(any(feature = "ring", feature = "aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod alerts;
mod api_misuse;
mod direction;
mod dtls;
mod forge;
mod fuzz_entries;
mod key_limits;
mod peer_rules;
mod receiver;
mod rfc8448;
mod round_trip;
mod rustls_live;
mod rustls_peer;
mod rustls_records;
mod same_bytes;
mod secrets;
mod segmentation;
mod size_limit;
mod tampering;
