//! What underseal's tests share; never published, and it never depends on `underseal`, so that the
//! tests of every crate can use it.
//!
//! - [`Certificates`]: an authority, a server and a client, made anew for a test, as PEM files for
//!   foreign programs and as rustls configurations pinned to a [`Suite`].
//! - [`pair`]: two connected in-memory streams for blocking code; `tokio::io::duplex` is the same
//!   for asynchronous code.
//! - [`FaultyStream`] and [`RecordEditor`]: wrap either and misbehave, by byte or by TLS record.
//! - [`RecordPeer`]: the other end of a connection, making its records itself, also wrong ones.
//! - [`poll_once`] and [`give_up`]: a future that is dropped half way, and what is kept of it.
//! - [`BlackHole`]: an address that neither accepts a connection nor refuses it.
//! - [`pipe`]: one of the kernel's, which does not wait.
//! - [`stack_depth`]: how deep a call goes, which is what has to be overwritten behind it.
//! - [`over_corpus`]: what is committed for a fuzz target, in every test run.
//! - [`Peer`]: a foreign program with bounded waits, killed on drop; [`peers`] knows the programs.
//!
//! Everything here panics where a test should fail: a test that cannot run is a failed test.

mod black_hole;
mod certificates;
mod configs;
mod corpus;
mod faults;
mod memory;
mod notifications;
mod peer;
pub mod peers;
mod pipes;
mod polling;
mod program;
pub mod record_peer;
mod records;
mod stack;

pub use black_hole::BlackHole;
pub use certificates::{CLIENT_ID, CLIENT_NAME, Certificates, KeyType, SERVER_ID, SERVER_NAME};
pub use configs::Suite;
pub use corpus::over_corpus;
pub use faults::{Faults, FaultyStream};
pub use memory::{Pipe, pair};
pub use notifications::notify_of_deliveries;
pub use peer::{Finished, Peer};
pub use pipes::pipe;
pub use polling::{GivenUp, give_up, poll_once};
pub use program::{free_port, require_program};
pub use record_peer::RecordPeer;
pub use records::{RecordEdit, RecordEditor};
pub use stack::stack_depth;

use std::time::Duration;

/// How long anything in a test may wait for the other side before the test fails. Far more than is
/// ever needed, so that a busy machine does not fail a test; it only keeps a hang from lasting.
pub const PATIENCE: Duration = Duration::from_secs(15);
