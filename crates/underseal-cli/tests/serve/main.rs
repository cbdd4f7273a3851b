//! `underseal serve` as its clients and its operators see it: the real binary on loopback, driven
//! by curl and by clients that say exactly what a test wants said.

mod client;
mod conditions;
mod conns;
mod descriptors;
mod faults;
mod harness;
mod http;
mod log;
mod ranges;
mod redirect;
mod reload;
mod running;
mod shutdown;
mod start;
mod timeouts;
