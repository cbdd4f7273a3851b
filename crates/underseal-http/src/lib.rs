#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod fields;
mod head;
pub mod host;
pub mod http1;
pub mod http2;
mod outgoing;
mod path;
pub mod proxy_protocol;
mod refusal;
mod request;

pub use head::{Framing, ReadOptions, Scratch};
pub use outgoing::{Outgoing, Passage, Version};
pub use path::{PathFault, PathOptions, has_parameter, is_normal, normalise};
pub use refusal::Refusal;
pub use request::Request;

#[doc(hidden)]
pub mod fuzz;
