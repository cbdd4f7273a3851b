//! Measures underseal beside its peers: `cargo xtask bench`.
//!
//! `README.md` says which measure answers which question and what each of them hides. A measure is
//! a function that takes every row once; the suite calls them round by round, so that what is
//! compared was measured within seconds of each other. Nothing here runs in production.

#![forbid(unsafe_code)]

pub mod aead;
pub mod aligned;
pub mod context;
pub mod cpu_time;
pub mod credentials;
pub mod datagrams;
pub mod files;
pub mod floods;
pub mod handshakes;
pub mod http;
pub mod idle;
pub mod machine;
pub mod mux;
pub mod pairs;
pub mod policy;
pub mod preload;
pub mod proxy;
pub mod records;
pub mod replies;
pub mod report;
pub mod round_trip;
pub mod rows;
pub mod run;
pub mod streams;
pub mod suite;
pub mod tunables;
pub mod vm;
