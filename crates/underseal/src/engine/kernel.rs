//! The kernel engine: the socket seals and opens records itself.
//!
//! What Linux does with a record is its own behaviour; what these rooms add is what a socket does
//! not know: limits, key updates, alerts, and which error means what. A direction that the kernel
//! holds stays with it until the socket is closed.

mod calls;
mod departure;
mod keys;
mod receive;
mod transmit;
mod unpushed;

pub(crate) use keys::{holds, install_rx, install_tx, probed, read_back};
pub(crate) use receive::{Receive, does_not_open, is_bad_record, receive, take_error};
pub(crate) use transmit::Transmit;
