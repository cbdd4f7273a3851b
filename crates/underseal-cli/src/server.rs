//! What every subcommand that accepts connections shares: listeners, workers, deadlines, the
//! certificate, reload and shutdown, the access log, buffers and clocks.
//!
//! The main thread starts the [`worker`]s and then runs [`control`]: signals and reloads. A worker
//! gives each connection that it accepts to its subcommand, which is an [`worker::Accept`].

pub(crate) mod access_log;
pub(crate) mod buffers;
pub(crate) mod certificate;
pub(crate) mod clock;
pub(crate) mod closing;
pub(crate) mod control;
pub(crate) mod descriptors;
pub(crate) mod development;
mod intake;
pub(crate) mod listener;
pub(crate) mod offload;
pub(crate) mod plain_http;
pub(crate) mod shell;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod watch;
pub(crate) mod worker;
