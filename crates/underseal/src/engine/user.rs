//! The user engine: records are sealed and opened by underseal-record.

mod receive;
mod transmit;

pub(crate) use receive::Receive;
pub(crate) use transmit::Transmit;
