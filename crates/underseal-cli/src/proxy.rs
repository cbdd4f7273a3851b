//! `underseal proxy`: policy on the plaintext between clients and a backend.

mod admin;
mod metrics;
mod proxy_protocol;
