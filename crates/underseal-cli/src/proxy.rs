//! `underseal proxy`: policy on the plaintext between clients and a backend.

mod metrics;
mod proxy_protocol;
