#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

pub mod flows;
mod keys;
mod provider;

pub use provider::provider;
