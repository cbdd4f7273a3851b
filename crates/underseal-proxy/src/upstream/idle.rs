//! Connections of HTTP/1.1 that wait for the next request.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::backend::Backend;

/// Most connections kept per worker and backend.
const MAX: usize = 256;

/// How long one is kept: less than most servers wait for a request.
const KEPT: Duration = Duration::from_secs(4);

/// Connections to one backend: the one that was used last is used first, so that those which are
/// not needed grow old.
#[derive(Default)]
pub(super) struct Idle(RefCell<Vec<(Box<Backend>, Instant)>>);

impl Idle {
    pub(super) fn put(&self, backend: Box<Backend>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MAX {
            kept.push((backend, Instant::now()));
        }
    }

    /// A connection on which nothing has arrived since.
    pub(super) fn take(&self) -> Option<Box<Backend>> {
        let mut kept = self.0.borrow_mut();
        while let Some((backend, since)) = kept.pop() {
            if since.elapsed() < KEPT
                && let Some(backend) = backend.revived()
            {
                return Some(backend);
            }
        }
        None
    }

    /// Drops those that ended or were kept for too long.
    pub(super) fn sweep(&self) {
        let mut kept = self.0.borrow_mut();
        kept.retain_mut(|(backend, since)| since.elapsed() < KEPT && backend.is_silent());
    }
}
