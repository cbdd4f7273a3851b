#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod filter;
mod message;
mod slices;
mod verdict;

pub use error::{Denied, HelperError};
pub use filter::{Chunk, Decision, Filter, KernelCompat, Offer};
pub use message::Message;
pub use slices::Slices;
pub use verdict::{Direction, Program, Verdict};

#[doc(hidden)]
pub mod fuzz;
