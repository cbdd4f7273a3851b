//! What a running underseal process tells about its connections.
//!
//! A process keeps a [`Registry`] and answers on a Unix socket of its own ([`socket`]) in its
//! user's runtime [`directory`]: whoever connects is sent one [`Row`] per connection, as a line of
//! JSON, and then the end. `underseal conns` asks every such socket.

pub mod directory;
mod registry;
mod row;
pub mod socket;

pub use registry::{Established, Registration, Registry, Table};
pub use row::{Engine, Row};
