//! Files and pipes: by system calls that move pages where the kernel seals, through a buffer where
//! this process does.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use underseal_sys::tls::Direction;

use super::Engine;
use super::moving::Occasion;
use super::programs::is_would_block;
use super::read::Step;
use super::{Connection, Receive, Transmit};
use crate::Error;
use crate::splice::{self, require_pipe};
use crate::transport::Transport;

/// What moving bytes between a pipe and a socket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spliced {
    /// This many bytes; zero at the end of the source.
    Moved(usize),
    /// The pipe is full, or empty with somebody at its other end.
    PipeNotReady,
}

#[cfg(feature = "tokio")]
impl Spliced {
    /// A pipe that is not ready as an error: only its owner can wait for it.
    pub(crate) fn into_result(self) -> io::Result<usize> {
        match self {
            Self::Moved(n) => Ok(n),
            Self::PipeNotReady => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Connection {
    /// Whether a splice in `direction` passes no byte through this process: the kernel has the
    /// direction or, to send, takes it on for pages, and no program looks at what passes.
    pub(crate) fn splices(&mut self, direction: Direction) -> bool {
        match direction {
            Direction::Tx => {
                let by_kernel = self.tx.engine() == Engine::Kernel;
                !self.judges_egress() && (by_kernel || self.is_to_move(Occasion::Pages))
            }
            Direction::Rx => {
                let by_kernel = matches!(self.rx, Receive::Kernel(_));
                !self.judges_ingress() && by_kernel && self.rx.plaintext().is_empty()
            }
        }
    }

    /// Whether [`send_file`](Self::send_file) would have the kernel read `limit` bytes of a file.
    #[cfg(feature = "tokio")]
    pub(crate) fn sends_pages(&mut self, limit: u64) -> bool {
        let by_kernel = self.tx.engine() == Engine::Kernel;
        let is_looked_at = self.judges_egress() && self.passes_ahead() == 0;
        !is_looked_at && (by_kernel || self.is_to_move(Occasion::of_file(limit)))
    }

    /// Sends up to `limit` bytes of a file from `offset`: `fill` reads them for the user engine, and
    /// where the kernel does not.
    /// Zero at the end of the file.
    pub(crate) fn send_file(
        &mut self,
        transport: &mut impl Transport,
        file: &File,
        offset: u64,
        limit: u64,
        fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.obey(transport)?;
        self.send_redirected(transport)?;
        let Some(limit) = self.goes_past(limit) else {
            return self.send_judged(transport, limit, fill);
        };
        self.move_tx(transport.socket(), Occasion::of_file(limit))?;
        let (tx, mut transport) = self.sending(transport);
        let sent = match tx {
            Transmit::User(tx) => tx.write_with(&mut transport, limit, fill),
            Transmit::Kernel(tx) => tx.send_file(&mut transport, file, offset, limit, fill),
        }?;
        self.pass_ahead(sent);
        self.sent(sent);
        Ok(sent)
    }

    /// How many of the next `limit` bytes go past the program; `None` if it has to see them.
    fn goes_past(&mut self, limit: u64) -> Option<u64> {
        match self.judges_egress() {
            false => Some(limit),
            true => Some(self.passes_ahead().min(limit)).filter(|passes| *passes > 0),
        }
    }

    /// Sends up to `len` bytes out of `pipe`.
    pub(crate) fn splice_from(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Spliced> {
        require_pipe(pipe)?;
        self.obey(transport)?;
        // There is nothing to wait with for room. What is no socket may wait, too.
        if transport.waits() != Ok(false) && splice::is_at_end(pipe) {
            return Ok(Spliced::Moved(0));
        }
        self.send_redirected(transport)?;
        let Some(len) = self.goes_past(len as u64) else {
            return self.splice_from_judged(transport, pipe, len);
        };
        // No more than was asked for.
        let len = len as usize;
        self.move_tx(transport.socket(), Occasion::Pages)?;
        let (tx, mut transport) = self.sending(transport);
        let spliced = match tx {
            Transmit::User(tx) => {
                let mut pipe_empty = false;
                let sent = tx.write_with(&mut transport, len as u64, |piece, _| {
                    let read = splice::read(pipe, piece);
                    pipe_empty = read == Err(Errno::AGAIN);
                    Ok(read?)
                });
                match sent {
                    Err(error) if pipe_empty && is_would_block(&error) => Spliced::PipeNotReady,
                    sent => Spliced::Moved(sent?),
                }
            }
            Transmit::Kernel(tx) => tx.splice_from(&mut transport, pipe, len)?,
        };
        if let Spliced::Moved(n) = spliced {
            self.pass_ahead(n);
            self.sent(n);
        }
        Ok(spliced)
    }

    fn splice_from_judged(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Spliced> {
        let mut pipe_empty = false;
        let sent = self.send_judged_once(transport, len, |piece| {
            let read = splice::read(pipe, piece);
            pipe_empty = read == Err(Errno::AGAIN);
            Ok(read?)
        });
        match sent {
            Err(error) if pipe_empty && is_would_block(&error) => Ok(Spliced::PipeNotReady),
            sent => sent.map(Spliced::Moved),
        }
    }

    /// Moves up to `len` bytes of data into `pipe`; control records on the way are handled as by a
    /// read. `Moved(0)` once the peer sent close_notify.
    pub(crate) fn splice_to(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Spliced> {
        require_pipe(pipe)?;
        self.answer(transport);
        loop {
            if !self.rx.plaintext().is_empty() {
                return self.pour(pipe, len);
            }
            let mut step = self.step(transport, &mut [])?;
            if matches!(step, Step::Starved) {
                self.move_rx_or_fail(transport)?;
                // Data in the middle of a message must not be in the pipe before it is refused.
                if !self.judges_ingress()
                    && !self.control.is_over_budget()
                    && self.control.is_between_messages()
                    && let Some(spliced) = self.splice_records(transport, pipe, len)?
                {
                    return Ok(spliced);
                }
                step = self.receive(transport, &mut [], 0)?;
            }
            match step {
                Step::Data(_) | Step::Control | Step::Starved => {}
                Step::End => return Ok(Spliced::Moved(0)),
                Step::Pending(content_type) => {
                    return Err(Error::RecordPending(content_type).into());
                }
            }
        }
    }

    /// Data that the kernel moves by itself. `None` where a record must be looked at.
    fn splice_records(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Option<Spliced>> {
        let Receive::Kernel(rx) = &mut self.rx else {
            return Ok(None);
        };
        let spliced = rx.splice_to(transport, pipe, len);
        match spliced.inspect_err(|error| self.tx.suspect_departure(error))? {
            // The end of the TCP stream: reading says what it means.
            Some(Spliced::Moved(0)) | None => Ok(None),
            Some(spliced) => {
                if let Spliced::Moved(n) = spliced {
                    self.rx_bytes += n as u64;
                    self.control.data(n)?;
                }
                Ok(Some(spliced))
            }
        }
    }

    /// Writes plaintext that is there already into `pipe`.
    fn pour(&mut self, pipe: BorrowedFd<'_>, len: usize) -> io::Result<Spliced> {
        let plaintext = self.rx.plaintext();
        let plaintext = &plaintext[..plaintext.len().min(len)];
        match splice::write(pipe, plaintext) {
            Ok(n) => {
                self.consume(n);
                Ok(Spliced::Moved(n))
            }
            Err(Errno::AGAIN) => {
                self.rx.settle();
                Ok(Spliced::PipeNotReady)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}
