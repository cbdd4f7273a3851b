//! The transport of the direction that sends.
//!
//! A kernel that opens looks at the header of a record as soon as it arrives. One that is bad makes
//! it put an error on the socket, and the next call takes that, even if it sends: a reply would fail
//! for what the peer said wrong, and nobody who reads would be told. So the call is made again, and
//! the error is kept for the next read. Where that would lose data ([`kernel::Transmit`] knows), the
//! error is taken off the socket before the call.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use rustix::event::PollFlags;
use rustix::net::sockopt::Timeout;
use underseal_sys::Errno;
use underseal_sys::tls::Direction;

use super::{Connection, Receive, Transmit, Waiting, kernel};
use crate::backoff::Backoff;
use crate::transport::{Transport, errno};

/// A transport to send by, which leaves to the reader what is the reader's.
pub(super) struct SendSide<'a, T> {
    below: &'a mut T,
    /// The receiving direction of the same socket, if the kernel has it.
    rx: Option<&'a mut kernel::Receive>,
    /// The task that waits in a read.
    reader: &'a mut Option<Waker>,
}

impl Connection {
    /// The direction that sends, and what it sends by.
    pub(super) fn sending<'a, T: Transport>(
        &'a mut self,
        below: &'a mut T,
    ) -> (&'a mut Transmit, SendSide<'a, T>) {
        let side = SendSide::new(&mut self.rx, &mut self.reader, below);
        (&mut self.tx, side)
    }
}

impl<'a, T: Transport> SendSide<'a, T> {
    pub(super) fn new(
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
        }
    }

    /// Makes a call that sends; once more if it failed for what was received.
    fn send_by<R>(&mut self, mut call: impl FnMut(&mut T) -> io::Result<R>) -> io::Result<R> {
        let sent = call(self.below);
        let Some(errno) = self.of_reader(&sent) else {
            return sent;
        };
        if self.take_error()? {
            return call(self.below);
        }
        // TCP's own calls take the error; what fails in the same way without it failed by itself.
        let again = call(self.below);
        if self.of_reader(&again) != Some(errno) {
            self.leave_to_reader(errno);
        }
        again
    }

    /// Takes the error off the socket, if it has one, for the reader.
    ///
    /// # Errors
    ///
    /// One that is not for what was received: nobody can send then.
    fn take_error(&mut self) -> Result<bool, Errno> {
        let Some(errno) = self.below.socket().and_then(kernel::take_error) else {
            return Ok(false);
        };
        self.leave_to_reader(errno);
        match kernel::is_bad_record(errno) {
            true => Ok(true),
            false => Err(errno),
        }
    }

    /// Why a call failed, if that may be for a record that was received. The kernel stops at the
    /// first that is bad.
    fn of_reader<R>(&self, sent: &io::Result<R>) -> Option<Errno> {
        let errno = sent.as_ref().err().and_then(Errno::from_io_error)?;
        (kernel::is_bad_record(errno) && self.may_get_error()).then_some(errno)
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

    fn waits(&self) -> Result<bool, Errno> {
        self.below.waits()
    }

    fn wait_as(&mut self, backoff: &mut Backoff, timeout: Timeout) -> Result<PollFlags, Errno> {
        self.below.wait_as(backoff, timeout)
    }

    fn may_get_error(&self) -> bool {
        // The kernel stops at the first record that is bad.
        self.rx.as_ref().is_some_and(|rx| !rx.keeps_error())
    }

    fn leave_error(&mut self) -> Result<(), Errno> {
        match self.may_get_error() {
            true => self.take_error().map(drop),
            false => Ok(()),
        }
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
