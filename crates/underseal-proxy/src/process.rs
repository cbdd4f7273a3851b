//! What all connections of a worker share, whoever listens for them and wherever they lead.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use underseal::Direction;
use underseal_http::Scratch;
use underseal_server::access_log::{AccessLog, Sink};
use underseal_server::buffers::Buffers;
use underseal_server::clock::Clock;
use underseal_server::deadline::Deadlines;
use underseal_server::live::Table;

use super::exchange::Heads;
use super::log;
use super::metrics::{Metrics, Side, Tally};

/// What a process is given.
#[derive(Clone)]
pub struct ProcessSettings {
    /// Where the lines of the access log go.
    pub log: Arc<Sink>,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// Where is counted.
    pub metrics: Arc<Metrics>,
}

/// The bounds of everybody's patience.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Longest TLS handshake or request head.
    pub header: Duration,
    /// Longest wait for the next request.
    pub idle: Duration,
    /// Longest stall of a client within a body.
    pub send: Duration,
    /// Longest wait for a backend to accept, TLS handshake included.
    pub connect: Duration,
    /// Longest stall of a backend that is to respond.
    pub response: Duration,
    /// Longest silence of both ends of a tunnel.
    pub tunnel: Duration,
    /// The same once one end has ended, where that is shorter.
    pub half_close: Duration,
}

/// A worker's part of the process.
pub(crate) struct Process {
    timeouts: Timeouts,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Buffers,
    pub(crate) log: AccessLog,
    pub(crate) clock: Clock,
    /// The TLS connections, of clients and to backends, for `underseal conns`.
    pub(crate) connections: Arc<Table>,
    /// For writing down what goes on of a request.
    pub(crate) heads: Heads,
    /// For reading a head; never borrowed while waiting.
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) tally: Tally,
}

impl Process {
    /// The part of the worker of number `index`; `connections` is its own table.
    pub(crate) fn new(settings: &ProcessSettings, index: usize, connections: Arc<Table>) -> Self {
        Self {
            timeouts: settings.timeouts,
            deadlines: Deadlines::new(),
            buffers: Buffers::default(),
            log: AccessLog::new(Arc::clone(&settings.log)),
            clock: Clock::default(),
            connections,
            heads: Heads::default(),
            scratch: RefCell::default(),
            tally: settings.metrics.tally(index),
        }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Counts who seals and opens for a TLS connection.
    pub(crate) fn count_engines(&self, side: Side, engines: underseal::Engines) {
        self.tally.engine(side, Direction::Tx, engines.tx);
        self.tally.engine(side, Direction::Rx, engines.rx);
    }

    /// Counts the bytes that passed, and what a backend did wrong.
    pub(crate) fn count_bytes(&self, outcome: &log::Outcome<'_>) {
        let tally = &self.tally;
        tally.bytes(Side::Client, Direction::Rx, outcome.bytes_in);
        tally.bytes(Side::Client, Direction::Tx, outcome.bytes_out);
        if let Some(backend) = outcome.backend {
            tally.bytes(Side::Backend, Direction::Tx, outcome.bytes_in);
            let received = if outcome.is_own { 0 } else { outcome.bytes_out };
            tally.bytes(Side::Backend, Direction::Rx, received);
            let error = outcome.error.as_deref();
            if let Some(error) = error.filter(|error| error.starts_with("backend-")) {
                tally.backend_error(backend, log::backend_error(error));
            }
        }
    }
}
