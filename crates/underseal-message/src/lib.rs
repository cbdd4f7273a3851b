#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums)]

mod by_message;
mod error;
mod filter;
mod held;
mod message;
mod parser;
mod redirect;
mod slices;
mod sock_map;
mod verdict;

pub use by_message::ByMessage;
pub use error::{Denied, HelperError};
pub use filter::{Chunk, Decision, Filter, KernelCompat, Offer};
pub use message::Message;
pub use parser::{
    Boundary, ByteOrder, Delimiter, Head, Http1, Http2, LengthPrefixed, MessageParser, ParseError,
    Parsed, StreamParser, Width,
};
pub use redirect::{Inbox, Notify, Peer, RedirectError};
pub use slices::Slices;
pub use sock_map::{MapError, SockHash, SockMap, Update};
pub use verdict::{MessageDirection, Program, Verdict};

#[doc(hidden)]
pub mod fuzz;
