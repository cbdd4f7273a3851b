//! Handshakes of DTLS 1.3, by the `boring` crate.
//!
//! BoringSSL shows its secrets to those alone who log them, so that a context has to be told to
//! ([`keep_secrets`]) before its handshakes can be taken over.
//!
//! It cannot be in one program with OpenSSL: both have functions of the same names. Whoever turns the feature
//! `boring` on turns `openssl` off.

mod handover;
mod handshake;
mod secrets;

pub(crate) use handover::{take_over, take_over_read};
pub(crate) use handshake::{Role, drive, stream};
pub use secrets::{keep_secrets, prepare};
