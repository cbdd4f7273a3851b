//! What the streams do for their users, against rustls, tokio-rustls and themselves.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod cancelled;
mod closing;
mod early_data;
#[cfg(feature = "early-data")]
mod early_streams;
#[cfg(feature = "aws_lc_rs")]
mod ech;
mod either_side;
mod environment;
mod exporters;
mod files;
mod first_segment;
mod flushing;
mod gathering;
mod handshaking;
mod holes;
mod http;
mod key_updates;
mod lazy;
mod moving;
mod nested;
mod pairs;
mod parts;
mod parts_fuzz;
mod polled_again;
mod providers;
mod reading;
mod record_types;
mod refused_configs;
mod rejected_early_data;
mod resumption;
mod short_records;
mod stream_ends;
#[expect(
    unreachable_pub,
    reason = "the fuzz target reaches it from another crate"
)]
mod stream_sequence;
mod stream_sequences;
mod stream_side;
mod uninitialized;
mod writing;
