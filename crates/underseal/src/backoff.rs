//! Waits of a thread for a socket that may say ready and do nothing all the same: poll(2) returns at
//! once as long as the socket has a notification for its owner (`MSG_ERRQUEUE`), and where TCP has
//! room and no memory. Such a socket is asked less and less often, and not for longer than it would
//! wait itself: one call has one time for all its waits, whatever they are for.

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

/// The time of one call, which runs from its first wait.
#[derive(Default)]
pub(crate) struct Stopwatch {
    started: Option<Instant>,
}

impl Stopwatch {
    /// Has the time run, if it does not yet, and says what is left of `limit`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when that is nothing.
    fn left(&mut self, limit: Duration) -> Result<Duration, Errno> {
        let started = self.started.get_or_insert_with(Instant::now);
        match limit.saturating_sub(started.elapsed()) {
            Duration::ZERO => Err(Errno::AGAIN),
            left => Ok(left),
        }
    }

    /// Waits for `time`, whatever happens meanwhile.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when `limit` is over.
    pub(crate) fn sleep(&mut self, time: Duration, limit: Duration) -> Result<(), Errno> {
        thread::sleep(time.min(self.left(limit)?));
        Ok(())
    }

    /// Waits until `file` says that it is ready, or has something else to say; returns what.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when `limit` is over.
    pub(crate) fn wait(
        &mut self,
        file: BorrowedFd<'_>,
        wanted: PollFlags,
        limit: Duration,
    ) -> Result<PollFlags, Errno> {
        let mut polled = [PollFd::from_borrowed_fd(file, wanted)];
        loop {
            // More than a thousand years: for ever.
            let left = Timespec::try_from(self.left(limit)?).ok();
            match poll(&mut polled, left.as_ref()) {
                Ok(0) => return Err(Errno::AGAIN),
                Ok(_) => return Ok(polled[0].revents()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The waits for one thing that is tried again after each. Begin anew where something was done:
/// whoever is slow is not one that does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
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
        stopwatch: &mut Stopwatch,
        socket: BorrowedFd<'_>,
        timeout: Timeout,
    ) -> Result<PollFlags, Errno> {
        let wanted = match timeout {
            Timeout::Recv => PollFlags::IN,
            Timeout::Send => PollFlags::OUT,
        };
        let limit = time_limit(socket, timeout)?;
        self.wait(stopwatch, socket, wanted, limit)
    }

    /// As [`Stopwatch::wait`], after a pause that is longer each time.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when `limit` is over.
    pub(crate) fn wait(
        &mut self,
        stopwatch: &mut Stopwatch,
        socket: BorrowedFd<'_>,
        wanted: PollFlags,
        limit: Duration,
    ) -> Result<PollFlags, Errno> {
        stopwatch.sleep(self.pause, limit)?;
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        stopwatch.wait(socket, wanted, limit)
    }
}

/// How long calls on a socket wait.
pub(crate) fn time_limit(socket: BorrowedFd<'_>, timeout: Timeout) -> Result<Duration, Errno> {
    let limit = sockopt::socket_timeout(socket, timeout)?;
    Ok(limit.unwrap_or(Duration::MAX))
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
        let (mut stopwatch, mut backoff) = (Stopwatch::default(), Backoff::default());
        let mut asked = 0;
        let end = loop {
            match backoff.wait_as(&mut stopwatch, socket.as_fd(), Timeout::Send) {
                Ok(ready) => assert!(ready.contains(PollFlags::OUT)),
                Err(errno) => break errno,
            }
            asked += 1;
            assert!(asked < 20, "it is spun on");
        };
        assert_eq!(end, Errno::AGAIN);
        Ok(())
    }

    /// It is full at first, and ready when it is waited for again.
    #[test]
    fn the_time_of_a_call_is_over_for_whatever_it_waits_for_next() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        let time = Duration::from_millis(50);
        let mut stopwatch = Stopwatch::default();
        let nothing = stopwatch.wait(socket.as_fd(), PollFlags::IN, time);
        assert_eq!(nothing, Err(Errno::AGAIN));
        let mut wait = |limit| {
            let mut backoff = Backoff::default();
            backoff.wait(&mut stopwatch, socket.as_fd(), PollFlags::OUT, limit)
        };
        assert_eq!(wait(time), Err(Errno::AGAIN));
        assert_eq!(wait(Duration::MAX), Ok(PollFlags::OUT));
        Ok(())
    }
}
