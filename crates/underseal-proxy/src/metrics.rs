//! What is counted, and how it is told to Prometheus.
//!
//! Each worker counts in a [`Tally`] of its own, to which nobody else writes: an event costs an
//! addition and no lock. Whoever asks is given the sums ([`exposition`]).

mod decisions;
mod exposition;
mod tally;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use underseal_http::Version;
use underseal_policy::model::AuthorizationPolicy;
use underseal_server::admin::Expose;

use self::decisions::Loaded;
pub(crate) use self::tally::{Open, Tally};

/// The two sides of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Backend,
}

/// What came of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Complete,
    Failed,
    TimedOut,
}

/// Whether what was to be loaded again was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    /// It was.
    Done,
    /// What was in use before stays so.
    Failed,
}

impl Side {
    const ALL: [Self; 2] = [Self::Client, Self::Backend];

    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
        }
    }
}

/// The versions of requests, and what they are called.
const VERSIONS: [(Version, &str); 2] = [(Version::Http11, "http1"), (Version::Http2, "h2")];

impl Handshake {
    const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::TimedOut];

    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
        }
    }
}

impl Reload {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    tallies: Box<[Arc<tally::Cells>]>,
    loaded: Loaded,
    /// By what was loaded; only the main thread counts here.
    reloads: Mutex<BTreeMap<(&'static str, Reload), u64>>,
}

impl Metrics {
    /// Metrics of a process with this many workers.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            tallies: (0..workers).map(|_| Arc::default()).collect(),
            loaded: Loaded::default(),
            reloads: Mutex::default(),
        })
    }

    /// Where the worker of the given number counts. To be taken once for each, on its thread.
    ///
    /// # Panics
    /// If there is no such worker.
    pub(crate) fn tally(self: &Arc<Self>, worker: usize) -> Tally {
        Tally::new(Arc::clone(&self.tallies[worker]), Arc::clone(self))
    }

    /// Says which policies judge from now on. What was counted of rules that are no more is
    /// forgotten, so that reloads do not heap up series.
    pub(crate) fn set_policies(&self, policies: &[AuthorizationPolicy]) {
        self.loaded.set(policies);
    }

    /// Counts a reload of `what`, such as `policy`.
    pub fn reloaded(&self, what: &'static str, reload: Reload) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        *reloads.entry((what, reload)).or_default() += 1;
    }
}

impl Expose for Metrics {
    fn expose(self: Arc<Self>) -> Result<String, fmt::Error> {
        exposition::text(&self)
    }
}

#[cfg(test)]
mod exposition_check;
#[cfg(test)]
mod tests;
