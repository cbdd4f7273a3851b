#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod asked;
mod condition;
mod connection;
mod convert;
mod decision;
mod explain;
mod index;
mod load;
mod matcher;
pub mod model;
mod pattern;
mod rule;
mod schema;
mod template;
mod token;
mod validate;

pub use asked::{Asked, Keeps};
pub use connection::{Connection, Fact, Peer, Transport};
pub use convert::{
    ConvertOptions, Converted, Document, NamedPort, Note, Outcome, RemoteIp, convert, examine,
    to_yaml,
};
pub use decision::{Decision, Match, Reason, Verdict};
pub use explain::{Explanation, RuleOutcome};
pub use load::{
    Authentication, LoadError, Loaded, Location, PolicyFile, TcpPorts, load, load_all,
    load_without_http,
};
pub use matcher::{Labels, Matcher, applies};
pub use pattern::is_spiffe_id;
pub use schema::json_schema;
pub use token::{Claims, Token};
pub use validate::Fault;

#[doc(hidden)]
pub mod fuzz;
