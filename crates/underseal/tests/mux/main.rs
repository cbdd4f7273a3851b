//! Many connections in, whole messages out to a few workers.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod bed;
mod delivery;
mod detaching;
mod endings;
mod model;
mod ordering;
mod replies;
mod shutdown;
mod threads;
mod tls;
mod workers;
