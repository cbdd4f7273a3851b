//! Many connections in, whole messages out to a few workers.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod aborting;
mod bed;
mod delivery;
mod detaching;
mod endings;
mod failing;
mod given_up;
mod leaving;
mod model;
mod ordering;
mod parking;
mod peer;
mod replies;
mod send_timeout;
#[expect(
    unreachable_pub,
    reason = "the fuzz target reaches it from another crate"
)]
mod sequence;
mod sequences;
mod shutdown;
mod slow_tcp;
mod threads;
mod tls;
mod wire;
mod workers;
