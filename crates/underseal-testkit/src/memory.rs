//! Two connected streams in memory, for blocking code.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::PATIENCE;

/// Makes two connected streams; each direction holds up to `capacity` bytes that were not read yet.
#[must_use]
pub fn pair(capacity: usize) -> (Pipe, Pipe) {
    let there = Arc::new(Lane::new(capacity));
    let back = Arc::new(Lane::new(capacity));
    let left = Pipe {
        incoming: back.clone(),
        outgoing: there.clone(),
        nonblocking: false,
    };
    let right = Pipe {
        incoming: there,
        outgoing: back,
        nonblocking: false,
    };
    (left, right)
}

/// One end. As with a socket: dropping it ends the stream for the reader on the other side and
/// makes the other side's writes fail. Waiting longer than [`PATIENCE`] is an error of kind
/// `TimedOut`, so that a deadlock fails a test instead of hanging it.
#[derive(Debug)]
pub struct Pipe {
    incoming: Arc<Lane>,
    outgoing: Arc<Lane>,
    nonblocking: bool,
}

impl Pipe {
    /// Whether a call that would have to wait returns `WouldBlock` instead.
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// Ends the outgoing direction, as `shutdown(SHUT_WR)` does.
    pub fn shutdown_write(&self) {
        self.outgoing.close(End::Finished);
    }

    /// Breaks both directions, as a RST does: what was not read yet is lost.
    pub fn reset(&self) {
        self.outgoing.close(End::Reset);
        self.incoming.close(End::Reset);
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.incoming.wait(self.nonblocking, |state| {
            state.end.is_some() || !state.bytes.is_empty() || buffer.is_empty()
        })?;
        if matches!(state.end, Some(End::Reset)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let read = state.bytes.read(buffer)?;
        drop(state);
        self.incoming.changed.notify_all();
        Ok(read)
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let capacity = self.outgoing.capacity;
        let mut state = self.outgoing.wait(self.nonblocking, |state| {
            state.end.is_some() || state.bytes.len() < capacity || buffer.is_empty()
        })?;
        match state.end {
            Some(End::Finished) => return Err(io::ErrorKind::BrokenPipe.into()),
            Some(End::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            None => {}
        }
        let written = buffer.len().min(capacity - state.bytes.len());
        state.bytes.extend(&buffer[..written]);
        drop(state);
        self.outgoing.changed.notify_all();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.outgoing.close(End::Finished);
        self.incoming.close(End::Finished);
    }
}

/// One direction.
#[derive(Debug)]
struct Lane {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Reset,
}

impl Lane {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn wait(
        &self,
        nonblocking: bool,
        ready: impl Fn(&State) -> bool,
    ) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().expect("no holder panics");
        if nonblocking && !ready(&state) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !ready(state));
        let (state, timeout) = waited.expect("no holder panics");
        if timeout.timed_out() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the other end of the pair hangs",
            ));
        }
        Ok(state)
    }

    fn close(&self, end: End) {
        let mut state = self.state.lock().expect("no holder panics");
        // A direction that was reset stays so.
        if !matches!(state.end, Some(End::Reset)) {
            state.end = Some(end);
        }
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_through_a_small_pair() {
        let (mut left, mut right) = pair(3);
        let sent: Vec<u8> = (0..=255).collect();
        let expected = sent.clone();
        let writer = std::thread::spawn(move || left.write_all(&sent).unwrap());
        let mut received = Vec::new();
        right.read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert_eq!(received, expected);
    }

    #[test]
    fn nonblocking_calls_refuse_to_wait() {
        let (mut left, _right) = pair(1);
        left.set_nonblocking(true);
        assert_eq!(
            left.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(left.write(b"ab").unwrap(), 1);
        assert_eq!(
            left.write(b"b").unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_dropped_end_is_the_end_of_the_stream_and_a_broken_pipe() {
        let (mut left, mut right) = pair(8);
        right.write_all(b"last").unwrap();
        drop(right);
        let mut received = Vec::new();
        left.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"last");
        assert_eq!(
            left.write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn a_reset_loses_what_was_not_read() {
        let (mut left, mut right) = pair(8);
        right.write_all(b"lost").unwrap();
        right.reset();
        assert_eq!(
            left.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    }
}
