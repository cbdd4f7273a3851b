#![doc = include_str!("../README.md")]

pub mod inet_diag;
pub mod message;
pub mod probe;
pub mod stream;
pub mod tls;

mod socket_option;

pub use rustix::io::Errno;
