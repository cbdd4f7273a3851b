//! Requests for files, as an origin server reads them (RFC 9110): heads that may arrive in pieces, which
//! path below its root a target names, conditions, ranges and content codings.
//!
//! Heads are read by [`http1`](crate::http1), as a proxy's are. A path may hold what rules of policies could
//! not be compared with, since here it is looked up, and letters that are no ASCII, which curl sends as
//! they are typed.

pub mod conditions;
mod content_coding;
mod inbox;
pub mod multipart;
pub mod path;
pub mod range;
mod request;

pub use inbox::{Advance, Inbox};
pub use request::Request;
