#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod condition;
mod convert;
mod decision;
mod explain;
mod head;
mod host;
pub mod http1;
pub mod http2;
mod index;
mod load;
mod matcher;
pub mod model;
mod path;
mod pattern;
mod refusal;
mod request;
mod rule;
mod schema;
mod template;
mod validate;

pub use convert::{ConvertOptions, Converted, Document, Note, Outcome, convert, examine, to_yaml};
pub use decision::{Decision, Match, Reason, Verdict};
pub use explain::{Explanation, RuleOutcome};
pub use head::{Framing, ReadOptions, Scratch};
pub use load::{LoadError, Loaded, Place, PolicyFile, load, load_all};
pub use matcher::{Labels, Matcher, applies};
pub use path::{PathFault, PathOptions, normalise};
pub use refusal::Refusal;
pub use request::{Connection, Fact, Peer, Request};
pub use schema::json_schema;
pub use validate::Fault;

#[doc(hidden)]
pub mod fuzz;
