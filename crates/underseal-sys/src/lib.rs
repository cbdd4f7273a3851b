#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums)]

#[cfg(not(target_os = "linux"))]
compile_error!("underseal-sys asks Linux' kernel and no other");

#[cfg(feature = "boring")]
pub mod boring;
pub mod bpf;
#[cfg(feature = "tokio")]
pub mod deadline;
pub mod ethtool;
pub mod inet_diag;
pub mod message;
#[cfg(feature = "openssl")]
pub mod openssl;
pub mod probe;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod tun;
pub mod udp;

mod errno;
mod socket_option;

pub use errno::errno_name;
pub use rustix::io::Errno;
