//! Reading: plaintext that is there, records that are, and what they make the connection do.

use std::io;
use std::os::fd::BorrowedFd;

use underseal_message::MessageDirection;
use underseal_record::ContentType;

#[cfg(feature = "tokio")]
use super::Receive;
use super::control::Action;
use super::{Connection, End, Filled, KeyUpdateRequest, Record, Waiting};
use crate::Error;
use crate::transport::Transport;

/// What looking for one record came to.
pub(super) enum Step {
    /// This many bytes of data are in the output; more may be in `rx.plaintext()`.
    Data(usize),
    /// A control record was handled.
    Control,
    /// No whole record is buffered, or it is the turn of others: [`Connection::receive`] knows.
    Starved,
    /// A record of another type waits for `read_record`.
    Pending(ContentType),
    /// The peer sent close_notify.
    End,
}

impl Connection {
    /// Reads application data. Zero means that the peer sent close_notify, or `out` is empty.
    pub(crate) fn read(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> io::Result<usize> {
        self.answer(transport);
        if out.is_empty() {
            return Ok(0);
        }
        if self.control.pending().is_none() {
            let ready = self.rx.take(out);
            if ready > 0 {
                return Ok(ready);
            }
        }
        let result = self.read_records(transport, out);
        self.rx.settle();
        result
    }

    fn read_records(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let step = match self.step(transport, &mut out[filled..]) {
                Ok(Step::Starved | Step::Pending(_) | Step::End) if filled > 0 => break,
                Ok(Step::Starved) => {
                    let room = out.len();
                    self.receive(transport, out, room)?
                }
                Ok(step) => step,
                // The data before the failure is delivered first, the failure by the next call.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error.into()),
            };
            match step {
                Step::Data(n) => filled += n,
                Step::Control | Step::Starved => {}
                Step::Pending(content_type) => {
                    return Err(Error::RecordPending(content_type).into());
                }
                Step::End => return Ok(0),
            }
            if filled == out.len() {
                break;
            }
        }
        Ok(filled)
    }

    /// Waits until a read of `room` bytes gives something, and returns the most that it gives: data,
    /// an error or the end. Nothing is opened yet where it can be opened into the reader's buffer.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_readable(
        &mut self,
        transport: &mut impl Transport,
        room: usize,
    ) -> io::Result<usize> {
        if self.has_programs() || matches!(self.rx, Receive::Kernel(_)) {
            return self.fill_buf(transport).map(<[u8]>::len);
        }
        self.answer(transport);
        loop {
            let most = match self.rx.plaintext().len() {
                _ if self.control.pending().is_some() || self.end.is_some() => 1,
                0 => self.rx.most_buffered(),
                len => len,
            };
            if most > 0 {
                return Ok(most);
            }
            if let Err(error) = self.receive(transport, &mut [], room) {
                self.rx.settle();
                return Err(error);
            }
        }
    }

    /// Waits until there is plaintext, and shows it without copying. Empty at the end.
    pub(crate) fn fill_buf(&mut self, transport: &mut impl Transport) -> io::Result<&[u8]> {
        self.answer(transport);
        while self.rx.plaintext().is_empty() {
            let step = match self.step(transport, &mut [])? {
                Step::Starved => match self.receive(transport, &mut [], 0) {
                    Ok(step) => step,
                    Err(error) => {
                        self.rx.settle();
                        return Err(error);
                    }
                },
                step => step,
            };
            match step {
                Step::Data(_) | Step::Control | Step::Starved => {}
                Step::Pending(content_type) => {
                    return Err(Error::RecordPending(content_type).into());
                }
                Step::End => break,
            }
        }
        Ok(self.rx.plaintext())
    }

    /// Drops `n` bytes that `fill_buf` showed.
    pub(crate) fn consume(&mut self, n: usize) {
        self.rx.consume(n);
        self.rx.settle();
    }

    /// Copies what the next read will give, without taking it. Zero at the end.
    #[doc(alias = "MSG_PEEK")]
    pub(crate) fn peek(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> io::Result<usize> {
        let plaintext = self.fill_buf(transport)?;
        let n = plaintext.len().min(out.len());
        out[..n].copy_from_slice(&plaintext[..n]);
        self.rx.settle();
        Ok(n)
    }

    /// Reads one record, of application data or of a type that is neither alert nor handshake.
    /// `None` at the end.
    pub(crate) fn read_record(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> io::Result<Option<(ContentType, usize)>> {
        self.answer(transport);
        self.control.deliver_records = true;
        let result = loop {
            if let Some(pending) = self.take_pending(out) {
                break Ok(Some(pending));
            }
            if !self.rx.plaintext().is_empty() {
                break Ok(Some((ContentType::APPLICATION_DATA, self.rx.take(out))));
            }
            let step = match self.step(transport, out) {
                Ok(Step::Starved) => {
                    let room = out.len();
                    self.receive(transport, out, room)
                }
                step => step.map_err(io::Error::from),
            };
            match step {
                Ok(Step::Data(n)) if n > 0 => break Ok(Some((ContentType::APPLICATION_DATA, n))),
                Ok(Step::Data(_) | Step::Control | Step::Pending(_) | Step::Starved) => {}
                Ok(Step::End) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        self.rx.settle();
        result
    }

    /// (A part of) the record of another type that was received.
    fn take_pending(&mut self, out: &mut [u8]) -> Option<(ContentType, usize)> {
        let (content_type, payload) = self.control.pending()?;
        let n = payload.len().min(out.len());
        out[..n].copy_from_slice(&payload[..n]);
        self.control.consume(n);
        Some((content_type, n))
    }

    /// Sends what the last received records asked for, and what others redirected here. A socket
    /// that is full takes it later.
    pub(super) fn answer(&mut self, transport: &mut impl Transport) {
        self.tend_inbox(transport);
        if self.control.answer_due {
            // A failure to send shows again, with its reason, at the next write or flush.
            let sent = self.flush_sealed(transport);
            self.control.answer_due = sent.is_err();
        }
    }

    /// Opens one record that is buffered and acts on it.
    pub(super) fn step(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> Result<Step, Error> {
        if let Some((content_type, _)) = self.control.pending() {
            return Ok(Step::Pending(content_type));
        }
        if let Some(End::Failed(error)) = self.end.as_deref() {
            return Err(Error::clone(error));
        }
        if let Some(step) = self.step_aside(transport, out)? {
            return Ok(step);
        }
        if let Some(End::CloseNotify) = self.end.as_deref() {
            return Ok(Step::End);
        }
        if self.control.is_over_budget() {
            return Ok(Step::Starved);
        }
        match self.rx.next(out) {
            Ok(None) => Ok(Step::Starved),
            Ok(Some(record)) => self.take_record(transport, record, out),
            Err(error) => Err(self.fail(transport, error)),
        }
    }

    /// What is to be read before the next record: what others redirected here, what a program could
    /// not judge to its end, and what it held to the end of the stream.
    fn step_aside(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> Result<Option<Step>, Error> {
        if !self.has_programs() {
            return Ok(None);
        }
        let at_end = matches!(self.end.as_deref(), Some(End::CloseNotify));
        let is_done = self.take_redirected() || {
            let is_done = self.judge_waiting(transport)?;
            match at_end && is_done && self.rx.plaintext().is_empty() {
                true => self.finish_ingress(transport)?,
                false => is_done,
            }
        };
        Ok(match self.rx.plaintext().is_empty() {
            false => Some(Step::Data(self.rx.take(out))),
            true if !is_done => Some(Step::Starved),
            true => None,
        })
    }

    /// Asks the socket for more, as a reader of `room` bytes wants it, and acts on a record if it
    /// gives one.
    pub(super) fn receive(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
        room: usize,
    ) -> io::Result<Step> {
        if let Some(waiting) = self.waits_for_target() {
            self.make_room_or_wait(transport, &waiting)?;
            return Ok(Step::Starved);
        }
        if self.control.is_over_budget() {
            self.control.renew_budget();
            transport.yield_now()?;
            return Ok(Step::Starved);
        }
        if self.has_programs() {
            // What a program redirected to its own stream goes before the peer is waited for.
            self.answer(transport);
        }
        self.move_rx_or_fail(transport)?;
        let filled = self.rx.fill(transport, out, room).inspect_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.control.renew_budget();
            }
            self.tx.suspect_departure(error);
        })?;
        let result = match filled {
            Filled::Ciphertext => Ok(Step::Starved),
            Filled::Record(record) => self.take_record(transport, record, out),
            Filled::Failed(error) => Err(self.fail(transport, error)),
            Filled::Eof => {
                self.end = Some(Box::new(End::Failed(Error::Truncated)));
                self.close_inbox(MessageDirection::Ingress);
                Err(Error::Truncated)
            }
        };
        Ok(result?)
    }

    /// Sends what waits in the own inbox or, if nothing does, waits for the target of a redirect: that
    /// may be this stream, or one that waits for it.
    fn make_room_or_wait(
        &mut self,
        transport: &mut impl Transport,
        waiting: &Waiting,
    ) -> io::Result<()> {
        let made = self.send_redirected(transport);
        self.control.answer_due |= !matches!(made, Ok(0));
        match made {
            Ok(0) => transport.wait(waiting),
            Ok(_) => Ok(()),
            // What waits is thrown away by the next attempt.
            Err(_) if self.tx.is_closed() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves the receiving direction if it is to move; a kernel that was asked for and refuses ends
    /// the connection.
    pub(super) fn move_rx_or_fail(&mut self, transport: &mut impl Transport) -> Result<(), Error> {
        let moved = self.move_rx(transport.socket());
        moved.map_err(|error| self.fail(transport, error))
    }

    fn take_record(
        &mut self,
        transport: &mut impl Transport,
        record: Record,
        out: &mut [u8],
    ) -> Result<Step, Error> {
        let action = match record {
            Record::Data(n) => {
                let len = n + self.rx.plaintext().len();
                self.rx_bytes += len as u64;
                self.control.data(len).map(|()| Action::Deliver(n))
            }
            Record::Control(content_type, payload) => {
                let (tickets, rx) = (&mut self.tickets, &mut self.rx);
                self.control
                    .handle(content_type, payload, tickets, rx, transport.socket())
            }
        };
        match action {
            Ok(Action::AnswerKeyUpdate) if !self.tx.can_update_key() && !self.tx.is_closed() => {
                Err(self.fail(transport, self.tx.cannot_update_key()))
            }
            Ok(Action::Deliver(n)) => {
                let n = self.judge(transport, out, n)?;
                if n == 0 && self.rx.plaintext().is_empty() {
                    self.control.handled();
                }
                Ok(Step::Data(n))
            }
            Ok(action) => {
                self.control.handled();
                Ok(self.act(transport, action))
            }
            Err(error) => Err(self.fail(transport, error)),
        }
    }

    /// Notes what the kernel opened and nobody reads, so that it can open what comes behind a key
    /// update. Whatever else it asks for, nobody does any more.
    pub(crate) fn follow(
        &mut self,
        socket: BorrowedFd<'_>,
        content_type: ContentType,
        payload: &[u8],
    ) {
        let (tickets, rx) = (&mut self.tickets, &mut self.rx);
        // A peer that says what it may not, or says it too often, is not followed: what it sends
        // then does not open.
        let _ = match content_type {
            ContentType::APPLICATION_DATA => self.control.data(payload.len()),
            ContentType::HANDSHAKE => self
                .control
                .handle(content_type, payload.to_vec(), tickets, rx, Some(socket))
                .map(drop),
            _ => Ok(()),
        };
    }

    fn act(&mut self, transport: &mut impl Transport, action: Action) -> Step {
        match action {
            Action::Deliver(n) => return Step::Data(n),
            Action::None => {}
            Action::AnswerKeyUpdate => {
                self.tx.want_key_update(KeyUpdateRequest::NotRequested);
                self.control.answer_due = true;
            }
            Action::Warn(description) => {
                self.tx.want_warning(description);
                self.control.answer_due = true;
            }
            Action::CloseNotify => {
                self.end = Some(Box::new(End::CloseNotify));
                self.close_inbox(MessageDirection::Ingress);
            }
        }
        self.answer(transport);
        Step::Control
    }
}
