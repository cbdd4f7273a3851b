#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod accept;
pub mod access_log;
pub mod admin;
pub mod buffers;
pub mod certificate;
pub mod clock;
pub mod closing;
pub mod control;
pub mod current;
pub mod deadline;
pub mod descriptors;
mod error;
mod intake;
pub mod listener;
pub mod live;
pub mod plain_http;
pub mod redirect;
pub mod terminal;
pub mod tls;
pub mod worker;

pub use error::{Error, IdentityError, Part, without_error_numbers};
