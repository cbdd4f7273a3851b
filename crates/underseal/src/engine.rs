//! The user-space engine: one established connection over any transport.
//!
//! It knows no runtime: blocking and tokio streams drive the same calls, and `WouldBlock` means
//! the same in both.

mod control;
mod receive;
mod transmit;

use std::io::{self, IoSlice};

use underseal_record::{AlertDescription, AlertLevel, Backend, ContentType, Limits, Padding};

use crate::Error;
use crate::handshake::Tickets;
use crate::transport::Transport;
use control::{Action, Control};
use receive::Record;

pub(crate) use receive::Receive;
pub(crate) use transmit::Transmit;

/// Whether a KeyUpdate asks the peer to update its key too (RFC 8446 section 4.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUpdateRequest {
    /// Only the sender's key changes.
    NotRequested,
    /// The receiver answers with a KeyUpdate of its own.
    Requested,
}

impl KeyUpdateRequest {
    pub(crate) const fn to_wire(self) -> u8 {
        match self {
            Self::NotRequested => 0,
            Self::Requested => 1,
        }
    }
}

/// How the receiving direction ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    CloseNotify,
    Failed(Box<Error>),
}

/// Both directions of an established connection, and what is left of its handshake.
pub(crate) struct Connection {
    pub(crate) tx: Transmit,
    pub(crate) rx: Receive,
    pub(crate) tickets: Tickets,
    pub(crate) control: Control,
    pub(crate) end: Option<End>,
}

impl Connection {
    pub(crate) fn new(tx: Transmit, rx: Receive, tickets: Tickets, end: Option<End>) -> Self {
        Self {
            tx,
            rx,
            tickets,
            control: Control::default(),
            end,
        }
    }

    pub(crate) fn set_padding(&mut self, padding: Padding) {
        self.tx.sealer.set_padding(padding);
    }

    pub(crate) fn lower_limits(&mut self, limits: Limits) {
        self.tx.sealer.lower_limits(limits);
    }

    pub(crate) fn backend(&self) -> Backend {
        self.tx.sealer.backend()
    }

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
        if self.control.pending.is_none() {
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
            match self.step(transport, &mut out[filled..]) {
                Ok(Step::Data(n)) => filled += n,
                Ok(Step::Control) => {}
                Ok(Step::Starved | Step::Pending(_) | Step::End) if filled > 0 => break,
                Ok(Step::Starved) => self.receive(transport, out.len())?,
                Ok(Step::Pending(content_type)) => {
                    return Err(Error::RecordPending(content_type).into());
                }
                Ok(Step::End) => return Ok(0),
                // The data before the failure is delivered first, the failure by the next call.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error.into()),
            }
            if filled == out.len() {
                break;
            }
        }
        Ok(filled)
    }

    /// Waits until there is plaintext, and shows it without copying. Empty at the end.
    pub(crate) fn fill_buf(&mut self, transport: &mut impl Transport) -> io::Result<&[u8]> {
        self.answer(transport);
        while self.rx.plaintext().is_empty() {
            match self.step(transport, &mut [])? {
                Step::Data(_) | Step::Control => {}
                Step::Starved => {
                    if let Err(error) = self.receive(transport, 0) {
                        self.rx.settle();
                        return Err(error);
                    }
                }
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
            if let Some(pending) = self.control.pending.take() {
                let (content_type, payload) = *pending;
                let n = payload.len().min(out.len());
                out[..n].copy_from_slice(&payload[..n]);
                if n < payload.len() {
                    self.control.pending = Some(Box::new((content_type, payload[n..].to_vec())));
                }
                break Ok(Some((content_type, n)));
            }
            let ready = self.rx.take(out);
            if ready > 0 {
                break Ok(Some((ContentType::APPLICATION_DATA, ready)));
            }
            match self.step(transport, out) {
                Ok(Step::Data(n)) if n > 0 => break Ok(Some((ContentType::APPLICATION_DATA, n))),
                Ok(Step::Data(_) | Step::Control | Step::Pending(_)) => {}
                Ok(Step::Starved) => match self.receive(transport, out.len()) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                Ok(Step::End) => break Ok(None),
                Err(error) => break Err(error.into()),
            }
        };
        self.rx.settle();
        result
    }

    /// Writes application data from up to [`MAX_SLICES`] of `slices`; see [`Transmit::write`].
    pub(crate) fn write_slices(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        // A list of its own, because sealing advances it.
        let mut own = [IoSlice::new(&[]); MAX_SLICES];
        let mut len = 0;
        for slice in slices
            .iter()
            .filter(|slice| !slice.is_empty())
            .take(MAX_SLICES)
        {
            own[len] = *slice;
            len += 1;
        }
        self.write_typed(transport, ContentType::APPLICATION_DATA, &mut own[..len])
    }

    /// Writes records of any type; see [`Transmit::write`].
    pub(crate) fn write_typed(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<usize> {
        self.tx.write(transport, content_type, slices)
    }

    /// Writes application data that `fill` provides; see [`Transmit::write_with`].
    pub(crate) fn write_with(
        &mut self,
        transport: &mut impl Transport,
        limit: u64,
        fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.tx.write_with(transport, limit, fill)
    }

    /// Sends all that was sealed.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.tx.queue_key_update()?;
        self.tx.flush(transport)
    }

    /// Starts a key update; [`flush`](Self::flush) sends it.
    pub(crate) fn key_update(&mut self, request: KeyUpdateRequest) -> Result<(), Error> {
        if self.tx.is_closed() {
            return Err(Error::WriteAfterClose);
        }
        if !self.tx.can_update_key() {
            return Err(Error::Unsupported("key update on this connection"));
        }
        self.tx.want_key_update(request);
        self.tx.queue_key_update()
    }

    /// Queues close_notify, once, and sends what is pending.
    pub(crate) fn close(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.tx
            .queue_alert(AlertLevel::Warning, AlertDescription::CLOSE_NOTIFY);
        self.tx.flush(transport)
    }

    /// Sends what the last received records asked for. A socket that is full takes it later.
    fn answer(&mut self, transport: &mut impl Transport) {
        if self.control.answer_due {
            // A failure to send shows again, with its reason, at the next write or flush.
            let sent = self.flush(transport);
            self.control.answer_due = sent.is_err();
        }
    }

    /// Opens one record and acts on it.
    fn step(&mut self, transport: &mut impl Transport, out: &mut [u8]) -> Result<Step, Error> {
        if let Some(pending) = &self.control.pending {
            return Ok(Step::Pending(pending.0));
        }
        match &self.end {
            Some(End::CloseNotify) => return Ok(Step::End),
            Some(End::Failed(error)) => return Err(Error::clone(error)),
            None => {}
        }
        let record = match self.rx.next(out) {
            Ok(None) => return Ok(Step::Starved),
            Ok(Some(record)) => record,
            Err(error) => return Err(self.fail(transport, error)),
        };
        let action = match record {
            Record::Data(n) => self
                .control
                .data(n.max(self.rx.plaintext().len()))
                .map(|()| Action::Deliver(n)),
            Record::Control(content_type, payload) => {
                self.control
                    .handle(content_type, payload, &mut self.tickets, &mut self.rx)
            }
        };
        match action {
            Ok(action) => Ok(self.act(transport, action)),
            Err(error) => Err(self.fail(transport, error)),
        }
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
                self.tx.queue_alert(AlertLevel::Warning, description);
                self.control.answer_due = true;
            }
            Action::CloseNotify => self.end = Some(End::CloseNotify),
        }
        self.answer(transport);
        Step::Control
    }

    /// Ends the connection: the peer is told if there is something to tell, and both directions
    /// stay dead.
    fn fail(&mut self, transport: &mut impl Transport, error: Error) -> Error {
        self.end = Some(End::Failed(Box::new(error.clone())));
        match error.alert() {
            Some(description) => {
                self.tx.queue_alert(AlertLevel::Fatal, description);
                // Best effort: the caller learns why the connection failed, not that telling the
                // peer failed too.
                let _ = self.tx.flush(transport);
            }
            None => self.tx.close_silently(),
        }
        error
    }

    fn receive(&mut self, transport: &mut impl Transport, out_len: usize) -> io::Result<()> {
        match self.rx.fill(transport, out_len)? {
            0 => {
                self.end = Some(End::Failed(Box::new(Error::Truncated)));
                Err(Error::Truncated.into())
            }
            _ => Ok(()),
        }
    }
}

/// Slices of one vectored write that are looked at; the rest is the next write's.
const MAX_SLICES: usize = 16;

enum Step {
    /// This many bytes of data are in the output; more may be in `rx.plaintext()`.
    Data(usize),
    /// A control record was handled.
    Control,
    /// No whole record is buffered.
    Starved,
    /// A record of another type waits for `read_record`.
    Pending(ContentType),
    /// The peer sent close_notify.
    End,
}
