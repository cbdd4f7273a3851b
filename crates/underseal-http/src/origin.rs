//! Requests for files, as an origin server reads them (RFC 9110): heads that may arrive in pieces, which
//! path below its root a target names, conditions, ranges and content codings.
//!
//! A server that answers for itself may forgive what [`http1`](crate::http1) cannot, since nobody behind
//! it reads the same bytes again: lines that end with LF alone, empty lines before a request, a length
//! that is said twice in the same words.

pub mod conditions;
mod content_coding;
mod inbox;
pub mod multipart;
pub mod path;
pub mod range;
mod request;

pub use inbox::{Advance, Inbox};
pub use request::{Refused, Request};
