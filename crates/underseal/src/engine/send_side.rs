//! The transport of the direction that sends.
//!
//! A kernel that opens looks at the header of a record as soon as it arrives. One that is bad makes
//! it put an error on the socket, and the next call takes that, even if it sends: a reply would fail
//! for what the peer said wrong, and nobody who reads would be told. So the call is made again, and
//! the error is kept for the next read.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use underseal_message::Direction;
use underseal_sys::Errno;

use super::{Connection, Receive, Transmit, Waiting, kernel};
use crate::transport::{Transport, errno};

/// A transport to send by, which leaves to the reader what is the reader's.
pub(super) struct SendSide<'a, T> {
    below: &'a mut T,
    /// The receiving direction of the same socket, if the kernel has it.
    rx: Option<&'a mut kernel::Receive>,
    /// The task that waits in a read.
    reader: &'a mut Option<Waker>,
    /// Whether the kernel may hold data in a record that it has not closed. A record that it cannot
    /// seal fails as one of the peer's does that is too short (`EBADMSG`), and takes with it what was
    /// open: nothing may follow then.
    is_open: bool,
}

impl Connection {
    /// The direction that sends, and what it sends by.
    pub(super) fn sending<'a, T: Transport>(
        &'a mut self,
        below: &'a mut T,
    ) -> (&'a mut Transmit, SendSide<'a, T>) {
        let side = SendSide::new(&self.tx, &mut self.rx, &mut self.reader, below);
        (&mut self.tx, side)
    }
}

impl<'a, T: Transport> SendSide<'a, T> {
    pub(super) fn new(
        tx: &Transmit,
        rx: &'a mut Receive,
        reader: &'a mut Option<Waker>,
        below: &'a mut T,
    ) -> Self {
        Self {
            below,
            rx: match rx {
                Receive::Kernel(rx) => Some(rx),
                Receive::User(_) => None,
            },
            reader,
            is_open: matches!(tx, Transmit::Kernel(tx) if tx.is_open()),
        }
    }

    /// Makes a call that sends; once more if it failed for what was received.
    fn send_by<R>(&mut self, mut call: impl FnMut(&mut T) -> io::Result<R>) -> io::Result<R> {
        let sent = call(self.below);
        let Some(errno) = self.of_reader(&sent) else {
            return sent;
        };
        let on_socket = self.below.socket().and_then(kernel::take_error);
        let again = match on_socket {
            Some(other) if other != errno => Err(other.into()),
            _ => call(self.below),
        };
        // What fails in the same way without an error on the socket was its own failure.
        if self.of_reader(&again) != Some(errno) {
            self.leave_to_reader(errno);
        }
        again
    }

    /// Why a call failed, if that may be for a record that was received. The kernel stops at the
    /// first that is bad.
    fn of_reader<R>(&self, sent: &io::Result<R>) -> Option<Errno> {
        let errno = sent.as_ref().err().and_then(Errno::from_io_error)?;
        let keeps_none = self.rx.as_ref().is_some_and(|rx| !rx.keeps_error());
        let could_be_lost = self.is_open && errno == Errno::BADMSG;
        (kernel::is_bad_record(errno) && keeps_none && !could_be_lost).then_some(errno)
    }

    fn leave_to_reader(&mut self, errno: Errno) {
        if let Some(rx) = &mut self.rx {
            rx.keep_error(errno);
        }
        // It may wait for a socket that says nothing more.
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<T: Transport> Transport for SendSide<'_, T> {
    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.below.recv(buf)
    }

    fn send(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send_by(|below| below.send(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.flush()
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.below.socket()
    }

    fn when_readable<R>(
        &mut self,
        call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        self.below.when_readable(call)
    }

    fn when_writable<R>(
        &mut self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let sent = self.send_by(|below| Ok(below.when_writable(&mut call)?));
        sent.map_err(|error| errno(&error))
    }

    fn note(&mut self, waiting: &Waiting, direction: Direction) {
        self.below.note(waiting, direction);
    }

    fn yield_now(&mut self) -> io::Result<()> {
        self.below.yield_now()
    }

    fn wait(&mut self, waiting: &Waiting) -> io::Result<()> {
        self.below.wait(waiting)
    }
}
