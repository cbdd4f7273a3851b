//! Waits of a thread for a socket that may say ready and do nothing all the same: poll(2) returns at
//! once as long as the socket has a notification for its owner (`MSG_ERRQUEUE`), and where TCP has
//! room and no memory. Such a socket is asked less and less often, and not for longer than it would
//! wait itself.

use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{self, Timeout};
use underseal_sys::Errno;

/// What the second wait begins with; each one after it begins with twice as much.
const SHORTEST: Duration = Duration::from_millis(1);

/// A socket that is ready in truth is not kept waiting for longer.
const LONGEST: Duration = Duration::from_millis(50);

/// All the waits of one call. Its time runs from the first of them.
#[derive(Default)]
pub(crate) struct Backoff {
    started: Option<Instant>,
    /// What the next wait begins with.
    pause: Duration,
}

impl Backoff {
    /// Waits as the socket's own calls do; returns what it says then.
    ///
    /// # Errors
    ///
    /// `EAGAIN` after the time limit of the socket.
    #[doc(alias("SO_RCVTIMEO", "SO_SNDTIMEO"))]
    pub(crate) fn wait_as(
        &mut self,
        socket: BorrowedFd<'_>,
        timeout: Timeout,
    ) -> Result<PollFlags, Errno> {
        let wanted = match timeout {
            Timeout::Recv => PollFlags::IN,
            Timeout::Send => PollFlags::OUT,
        };
        let limit = sockopt::socket_timeout(socket, timeout)?;
        self.wait(socket, wanted, limit.unwrap_or(Duration::MAX))
    }

    /// Waits until the socket says that it is ready, or has something else to say; returns what.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when `limit` is over.
    pub(crate) fn wait(
        &mut self,
        socket: BorrowedFd<'_>,
        wanted: PollFlags,
        limit: Duration,
    ) -> Result<PollFlags, Errno> {
        self.sleep(self.pause, limit)?;
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        let mut polled = [PollFd::from_borrowed_fd(socket, wanted)];
        loop {
            // More than a thousand years: for ever.
            let left = Timespec::try_from(self.left(limit)).ok();
            match poll(&mut polled, left.as_ref()) {
                Ok(0) => return Err(Errno::AGAIN),
                Ok(_) => return Ok(polled[0].revents()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits for `time`, whatever the socket says.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when `limit` is over.
    pub(crate) fn sleep(&mut self, time: Duration, limit: Duration) -> Result<(), Errno> {
        let left = self.left(limit);
        if left.is_zero() {
            return Err(Errno::AGAIN);
        }
        thread::sleep(time.min(left));
        Ok(())
    }

    fn left(&mut self, limit: Duration) -> Duration {
        let started = self.started.get_or_insert_with(Instant::now);
        limit.saturating_sub(started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_socket_that_is_always_ready_is_asked_few_times_within_its_limit() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
        let mut backoff = Backoff::default();
        let mut asked = 0;
        let end = loop {
            match backoff.wait_as(socket.as_fd(), Timeout::Send) {
                Ok(ready) => assert!(ready.contains(PollFlags::OUT)),
                Err(errno) => break errno,
            }
            asked += 1;
            assert!(asked < 20, "it is spun on");
        };
        assert_eq!(end, Errno::AGAIN);
        Ok(())
    }
}
