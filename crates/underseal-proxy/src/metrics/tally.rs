//! What one worker counts.

use std::array;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use underseal::{Direction, Engine};
use underseal_http::{Refusal, Version};
use underseal_policy::Decision;

use super::decisions::{Counted, Decisions};
use super::{Handshake, Metrics, Side};

/// Upper bounds of the histogram of durations, in microseconds; what is above all of them is in a
/// bucket of its own.
pub(super) const BOUNDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// Status codes from 100 on. One place before them is for requests that got no answer.
const CODES: usize = 500;

/// A number that one thread adds to and others read.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Not a `fetch_add`: there is one writer, so no other addition can come between.
    pub(super) fn add(&self, more: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    #[cfg(feature = "dtls")]
    fn set(&self, sum: u64) {
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one worker.
#[derive(Debug)]
pub(super) struct Cells {
    /// By version and code.
    requests: [Box<[Counter]>; 2],
    /// By side: received, sent.
    bytes: [[Counter; 2]; 2],
    /// Those of them that no buffer of ours held.
    spliced: [[Counter; 2]; 2],
    handshakes: [[Counter; 3]; 2],
    /// By side: opened, closed.
    connections: [[Counter; 2]; 2],
    /// By side, direction (rx, tx) and engine (user, kernel).
    engines: [[[Counter; 2]; 2]; 2],
    pub(super) durations: [Counter; BOUNDS.len() + 1],
    pub(super) duration_sum_us: Counter,
    pub(super) decisions: Counted,
    /// Refused requests and failures of backends are rare, and what they are counted by is open.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    backend_errors: Mutex<BTreeMap<(Box<str>, &'static str), u64>>,
    /// By reason; a listener's own counts are copied here a few times a second.
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) verify_requests: Counter,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            requests: array::from_fn(|_| (0..=CODES).map(|_| Counter::default()).collect()),
            bytes: Default::default(),
            spliced: Default::default(),
            handshakes: Default::default(),
            connections: Default::default(),
            engines: Default::default(),
            durations: Default::default(),
            duration_sum_us: Counter::default(),
            decisions: Counted::default(),
            refused: Mutex::default(),
            backend_errors: Mutex::default(),
            dropped: Mutex::default(),
            verify_requests: Counter::default(),
        }
    }
}

impl Cells {
    /// The requests of `version` that were answered with each code; zero is no answer.
    pub(super) fn requests(&self, version: Version) -> impl Iterator<Item = (u16, u64)> {
        let counters = self.requests[version as usize].iter();
        counters
            .zip([0].into_iter().chain(100..))
            .map(|(counter, code)| (code, counter.get()))
    }

    pub(super) fn bytes(&self, side: Side, direction: Direction) -> &Counter {
        &self.bytes[side as usize][direction_index(direction)]
    }

    pub(super) fn spliced(&self, side: Side, direction: Direction) -> &Counter {
        &self.spliced[side as usize][direction_index(direction)]
    }

    pub(super) fn handshakes(&self, side: Side, result: Handshake) -> &Counter {
        &self.handshakes[side as usize][result as usize]
    }

    /// How many connections were opened, and how many closed.
    pub(super) fn connections(&self, side: Side) -> &[Counter; 2] {
        &self.connections[side as usize]
    }

    pub(super) fn engines(&self, side: Side, direction: Direction, engine: Engine) -> &Counter {
        let engine = usize::from(engine == Engine::Kernel);
        &self.engines[side as usize][direction_index(direction)][engine]
    }

    pub(super) fn refused(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dropped(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn backend_errors(&self) -> MutexGuard<'_, BTreeMap<(Box<str>, &'static str), u64>> {
        let errors = self.backend_errors.lock();
        errors.unwrap_or_else(PoisonError::into_inner)
    }
}

fn direction_index(direction: Direction) -> usize {
    usize::from(direction == Direction::Tx)
}

/// Where a worker counts. It stays on the worker's thread.
#[derive(Debug)]
pub(crate) struct Tally {
    cells: Arc<Cells>,
    metrics: Arc<Metrics>,
    decisions: RefCell<Decisions>,
}

impl Tally {
    pub(super) fn new(cells: Arc<Cells>, metrics: Arc<Metrics>) -> Self {
        Self {
            cells,
            metrics,
            decisions: RefCell::default(),
        }
    }

    /// A request has come to its end, `duration` after its head was there: with an answer of
    /// `status`, or without one, which is zero.
    pub(crate) fn request(&self, version: Version, status: u16, duration: Duration) {
        let place = usize::from(status).checked_sub(99);
        let place = place.filter(|place| *place <= CODES).unwrap_or(0);
        self.cells.requests[version as usize][place].add(1);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.cells.durations[bucket].add(1);
        self.cells.duration_sum_us.add(micros);
    }

    /// A request or connection was judged.
    pub(crate) fn decision(&self, decision: &Decision<'_>) {
        let mut decisions = self.decisions.borrow_mut();
        decisions.count(decision, &self.cells.decisions, &self.metrics.loaded);
    }

    /// A request was refused before any rule was asked.
    pub(crate) fn refused(&self, refusal: Refusal) {
        *self.cells.refused().entry(refusal.name()).or_default() += 1;
    }

    /// A request was refused because of its token.
    pub(crate) fn bad_token(&self) {
        *self.cells.refused().entry("token").or_default() += 1;
    }

    /// Bytes of plaintext passed.
    pub(crate) fn bytes(&self, side: Side, direction: Direction, bytes: u64) {
        self.cells.bytes(side, direction).add(bytes);
    }

    pub(crate) fn handshake(&self, side: Side, result: Handshake) {
        self.cells.handshakes(side, result).add(1);
    }

    /// A connection is there until what is returned is dropped.
    pub(crate) fn connection(&self, side: Side) -> Open {
        let cells = Arc::clone(&self.cells);
        cells.connections(side)[0].add(1);
        Open { cells, side }
    }

    /// A TLS connection has got engines.
    pub(crate) fn engine(&self, side: Side, direction: Direction, engine: Engine) {
        self.cells.engines(side, direction, engine).add(1);
    }

    /// A datagram was dropped.
    #[cfg(feature = "dtls")]
    pub(crate) fn datagram_dropped(&self, reason: &'static str) {
        *self.cells.dropped().entry(reason).or_default() += 1;
    }

    /// How many cookies a listener has asked for so far, and how many datagrams it has dropped.
    #[cfg(feature = "dtls")]
    pub(crate) fn datagrams(
        &self,
        verify_requests: u64,
        dropped: impl Iterator<Item = (&'static str, u64)>,
    ) {
        self.cells.verify_requests.set(verify_requests);
        let dropped = dropped.filter(|(_, count)| *count > 0);
        self.cells.dropped().extend(dropped);
    }

    /// Something went wrong with `backend`, which is as the operator named it: `kind` is a short
    /// word, such as `refused`.
    pub(crate) fn backend_error(&self, backend: &str, kind: &'static str) {
        let mut errors = self.cells.backend_errors();
        *errors.entry((backend.into(), kind)).or_default() += 1;
    }
}

/// A connection that is counted as open. Dropped on the thread that it was made on.
#[derive(Debug)]
pub(crate) struct Open {
    cells: Arc<Cells>,
    side: Side,
}

impl Open {
    /// Bytes passed that the kernel moved by itself.
    pub(crate) fn spliced(&self, direction: Direction, bytes: u64) {
        self.cells.spliced(self.side, direction).add(bytes);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.cells.connections(self.side)[1].add(1);
    }
}
