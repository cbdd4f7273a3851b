//! Programs on tokio and blocking streams: what waits for whom, and what random programs come to.
//!
//! What must not depend on the engine is in the parity suite.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod blocking;
mod endings;
mod given_up;
mod model;
mod pairs;
mod redirects;
mod waiting;
