//! Bytes on their way through a pipe, between ends that the kernel moves pages for.
//!
//! As with buffers, a connection that waits for its source owns no pipe: the thread lends one.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use underseal::Direction;

use super::stream::Stream;

/// Bytes that a pipe is to hold: what one splice moves at most.
const LEN: usize = 1 << 20;

/// Pipes that a thread keeps when nobody uses them.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// The two ends of a pipe that does not wait.
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// Bytes that were read and not yet written. Empty, it owns nothing.
#[derive(Default)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

/// Whether bytes from `source` to `sink` need not pass through this process.
pub(crate) fn can_splice(source: &mut Stream, sink: &mut Stream) -> bool {
    source.splices(Direction::Rx) && sink.splices(Direction::Tx)
}

impl Pipe {
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Borrows a pipe from the thread; whether there is one. A process may have too many files open.
    pub(crate) fn open(&mut self) -> bool {
        if self.ends.is_none() {
            self.ends = lend()
                .inspect_err(|error| tracing::debug!("no pipe to splice through: {error}"))
                .ok();
        }
        self.ends.is_some()
    }

    /// Moves up to `len` bytes of `source` into the pipe, which is open and empty. Zero is the end
    /// of `source`.
    ///
    /// # Errors
    /// Those of `source`; `Unsupported` if the pipe is not open.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        len: u64,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else {
            // Not zero: a body must not look complete.
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let len = usize::try_from(len).unwrap_or(LEN).min(LEN);
        let polled = source.poll_splice_to(cx, ends.writer.as_fd(), len);
        if let Poll::Ready(Ok(moved)) = polled {
            self.held += moved;
        }
        self.settle();
        polled
    }

    /// Moves bytes that the pipe holds into `sink`, and returns how many; zero if it holds none.
    ///
    /// # Errors
    /// Those of `sink`.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else {
            return Poll::Ready(Ok(0));
        };
        let moved = ready!(sink.poll_splice_from(cx, ends.reader.as_fd(), self.held))?;
        if moved == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.held -= moved;
        self.settle();
        Poll::Ready(Ok(moved))
    }

    /// Gives an empty pipe back.
    fn settle(&mut self) {
        if self.is_empty()
            && let Some(ends) = self.ends.take()
        {
            // A thread that is shutting down keeps none; the pipe is closed then.
            let _ = FREE.try_with(|free| {
                let mut free = free.borrow_mut();
                if free.len() < KEPT {
                    free.push(ends);
                }
            });
        }
    }
}

fn lend() -> io::Result<Ends> {
    let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    if let Some(ends) = free {
        return Ok(ends);
    }
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    // A user who has too many pages in pipes is given shorter ones, which do as well.
    if let Err(errno) = fcntl_setpipe_size(&writer, LEN) {
        tracing::debug!("pipes stay short: {errno}");
    }
    Ok(Ends { reader, writer })
}
