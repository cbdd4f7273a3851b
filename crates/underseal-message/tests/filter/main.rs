//! What a filter lets through, holds, changes and refuses.

mod apply;
mod by_message;
mod cork;
mod drop;
mod edits;
mod kernel_tables;
mod panics;
mod partial;
mod redirect;
mod run;
mod splits;
