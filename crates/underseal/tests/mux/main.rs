//! Many connections in, whole messages out to a few workers.

mod bed;
mod delivery;
