#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

pub mod flows;
mod keys;
mod provider;
#[cfg(all(feature = "quinn", any(feature = "ring", feature = "aws-lc-rs")))]
pub mod quinn;
mod suite;
#[cfg(feature = "quinn")]
pub mod trains;

pub use provider::provider;
