use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use underseal_sys::Errno;

use super::{Discard, Linger, TICK};
use crate::backoff::{Backoff, Stopwatch};
use crate::engine::Connection;

/// Throws away what `socket` receives, until the peer closes or the limits are used up. `connection`
/// is what the socket carries, if that is known.
pub(crate) fn linger(
    socket: BorrowedFd<'_>,
    mut connection: Option<&mut Connection>,
    limits: Linger,
) {
    let (mut stopwatch, mut backoff) = (Stopwatch::default(), Backoff::default());
    let mut discard = Discard::new(limits.bytes);
    discard.know(connection.as_deref());
    while discard.discard(socket, connection.as_deref_mut()) == Err(Errno::AGAIN) {
        let waited = match discard.is_stuck {
            true => stopwatch.sleep(TICK, limits.time),
            false => {
                let ready = backoff.wait(&mut stopwatch, socket, PollFlags::IN, limits.time);
                ready.map(drop)
            }
        };
        if waited.is_err() {
            return;
        }
    }
}
