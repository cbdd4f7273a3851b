#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod filter;
mod message;
mod parser;
mod slices;
mod verdict;

pub use error::{Denied, HelperError};
pub use filter::{Chunk, Decision, Filter, KernelCompat, Offer};
pub use message::Message;
pub use parser::{
    Boundary, ByteOrder, Delimiter, Head, Http1, Http2, LengthPrefixed, MessageParser, ParseError,
    Parsed, StreamParser, Width,
};
pub use slices::Slices;
pub use verdict::{Direction, Program, Verdict};

#[doc(hidden)]
pub mod fuzz;
