use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use underseal_sys::Errno;

use super::{Budget, Linger};

/// Throws away what `socket` receives, until the peer closes or the limits are used up.
pub(crate) fn linger(socket: BorrowedFd<'_>, limits: Linger) {
    let started = Instant::now();
    let mut budget = Budget(limits.bytes);
    while budget.discard(socket) == Err(Errno::AGAIN) {
        let left = limits.time.saturating_sub(started.elapsed());
        // More than a thousand years: for ever.
        let timeout = Timespec::try_from(left).ok();
        let mut readable = [PollFd::new(&socket, PollFlags::IN)];
        match poll(&mut readable, timeout.as_ref()) {
            Ok(0) => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
