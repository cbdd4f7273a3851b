#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod fields;
mod head;
pub mod host;
pub mod http1;
pub mod http2;
pub mod origin;
mod outgoing;
mod path;
pub mod proxy_protocol;
mod refusal;
mod request;

pub use head::{Framing, ReadOptions, Scratch};
pub use outgoing::{Outgoing, Passage, PathForm, Upgrade, Version};
pub use path::{
    EncodedSlash, PathFault, PathOptions, has_encoded_slash, has_parameter, is_normal, normalise,
};
pub use refusal::Refusal;
pub use request::Request;

#[doc(hidden)]
pub mod fuzz;
