//! Sealed bytes to the socket, and what becomes of those that it does not take.

use std::io;
use std::ops::Range;

use super::{COPIED, MIN_BATCH, State, Transmit};
use crate::Error;
use crate::buffers::{Lent, Residue};
use crate::transport::Transport;

impl Transmit {
    /// Sends what is pending, the open record and what answers the peer with it. `WouldBlock` if
    /// the socket does not take all of it.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.close_record()?;
        self.send_pending(transport)?;
        self.queue_warning();
        self.queue_key_update()?;
        self.send_pending(transport)
    }

    /// Sends what is due before data. The alert that closed the direction is: a writer that waited
    /// sends it, if the reader who queued it has gone, before it learns that it came too late.
    pub(crate) fn ready(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.send_pending(transport)?;
        if self.is_closed() {
            return Err(Error::WriteAfterClose.into());
        }
        self.queue_warning();
        self.send_pending(transport)
    }

    /// Sends what is pending. Whoever waits then holds no more than what waits.
    pub(super) fn send_pending(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        if self.pending.bytes().is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        let sent = self.send_all(transport, &mut pending);
        self.pending = pending;
        sent.inspect_err(|_| self.pending.settle(COPIED))
    }

    /// Sends the bytes of `unsent`, and drops from it what the transport took. Broken is what the
    /// direction is in the meantime: a transport that panics may have taken any of them.
    fn send_all(
        &mut self,
        transport: &mut impl Transport,
        unsent: &mut impl Unsent,
    ) -> io::Result<()> {
        let state = std::mem::replace(&mut self.state, State::Broken);
        let sent = loop {
            match unsent.bytes() {
                [] => break Ok(()),
                bytes => match transport.send(bytes) {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => unsent.advance(n),
                    Err(error) => break Err(error),
                },
            }
        };
        self.state = state;
        sent
    }

    /// Sends what was just sealed; what the socket does not take becomes pending. Any other failure
    /// breaks the direction: whoever wrote the plaintext is told that it was not taken, so it must
    /// not go out.
    pub(super) fn send(
        &mut self,
        transport: &mut impl Transport,
        buffer: Lent,
        range: Range<usize>,
    ) -> io::Result<()> {
        let mut sealed = (buffer, range);
        match self.send_all(transport, &mut sealed) {
            Ok(()) => {
                self.batch = (self.batch * 2).min(self.most);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.batch = (self.batch / 2).max(MIN_BATCH as u32).min(self.most);
                self.pending = Residue::new(sealed.0, sealed.1, COPIED);
                Ok(())
            }
            Err(error) => {
                self.end(State::Broken);
                Err(error)
            }
        }
    }
}

/// Sealed bytes on their way to the transport.
trait Unsent {
    fn bytes(&self) -> &[u8];
    fn advance(&mut self, n: usize);
}

impl Unsent for Residue {
    fn bytes(&self) -> &[u8] {
        Self::bytes(self)
    }

    fn advance(&mut self, n: usize) {
        Self::advance(self, n);
    }
}

/// A part of a buffer that was just sealed into.
impl Unsent for (Lent, Range<usize>) {
    fn bytes(&self) -> &[u8] {
        &self.0[self.1.clone()]
    }

    fn advance(&mut self, n: usize) {
        self.1.start += n;
    }
}
