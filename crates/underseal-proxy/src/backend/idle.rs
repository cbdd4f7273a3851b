//! Connections that wait for the next request.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, ReadBuf};

use super::Backend;

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

    pub(super) fn sweep(&self) {
        let mut kept = self.0.borrow_mut();
        kept.retain_mut(|(backend, since)| since.elapsed() < KEPT && is_silent(backend));
    }
}

/// Whether a backend has sent nothing that nobody asked for, nor its end. Costs a system call only
/// if something has come: a ticket or a key update may.
pub(super) fn is_silent(backend: &mut Backend) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    matches!(
        Pin::new(&mut backend.stream).poll_read(&mut cx, &mut buffer),
        Poll::Pending
    )
}
