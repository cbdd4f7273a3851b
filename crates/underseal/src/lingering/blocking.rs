use std::os::fd::BorrowedFd;
use std::thread::sleep;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use underseal_sys::Errno;

use super::{Discard, Linger, TICK};
use crate::engine::Connection;

/// Throws away what `socket` receives, until the peer closes or the limits are used up. `connection`
/// is what the socket carries, if that is known.
pub(crate) fn linger(
    socket: BorrowedFd<'_>,
    mut connection: Option<&mut Connection>,
    limits: Linger,
) {
    let started = Instant::now();
    let mut discard = Discard::new(limits.bytes);
    discard.know(connection.as_deref());
    while discard.discard(socket, connection.as_deref_mut()) == Err(Errno::AGAIN) {
        let left = limits.time.saturating_sub(started.elapsed());
        if discard.is_stuck {
            if left.is_zero() {
                return;
            }
            sleep(TICK.min(left));
            continue;
        }
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
