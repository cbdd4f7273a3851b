//! An established connection over any transport: two directions, each with an engine of its own.
//!
//! It knows no runtime: blocking and tokio streams drive the same calls, and `WouldBlock` means
//! the same in both.

mod carried;
mod control;
#[cfg(feature = "early-data")]
mod early;
pub(crate) mod kernel;
mod moving;
mod obeying;
mod programs;
mod read;
mod receive;
mod send_side;
mod splicing;
mod transmit;
pub(crate) mod user;

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::Waker;

use underseal_record::{AlertLevel, ContentType, TrafficKeys};
use underseal_sys::tls::Direction;

use crate::Error;
use crate::handshake::Tickets;
use crate::offload::{Engine, Engines};
use crate::session::Orders;
use crate::transport::Transport;
use control::Control;
use moving::{Moving, Occasion};
use programs::Programs;
use receive::{Filled, Record};

pub(crate) use carried::Carried;
pub(crate) use programs::Waiting;
#[cfg(feature = "tokio")]
pub(crate) use programs::note;
pub(crate) use receive::Receive;
pub(crate) use splicing::Spliced;
pub(crate) use transmit::Transmit;

/// Whether a KeyUpdate asks the peer to update its key too (RFC 8446 section 4.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8446 section 4.6.3 has two")]
pub enum KeyUpdateRequest {
    /// Only the sender's key changes.
    NotRequested,
    /// The receiver answers with a KeyUpdate of its own.
    Requested,
}

impl KeyUpdateRequest {
    /// Bytes of the message.
    const MESSAGE_LEN: usize = 5;

    /// The handshake message.
    const fn message(self) -> [u8; Self::MESSAGE_LEN] {
        let request = match self {
            Self::NotRequested => 0,
            Self::Requested => 1,
        };
        [control::KEY_UPDATE, 0, 0, 1, request]
    }
}

/// What went over a connection since its handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of application data that were taken to be sent.
    pub tx_bytes: u64,
    /// Bytes of application data that were received and opened.
    pub rx_bytes: u64,
    /// How often this side updated its key.
    pub tx_key_updates: u32,
    /// How often the peer updated its key.
    pub rx_key_updates: u32,
}

/// How the receiving direction ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    CloseNotify,
    Failed(Error),
}

/// Both directions of an established connection, and what is left of its handshake.
pub(crate) struct Connection {
    pub(crate) tx: Transmit,
    pub(crate) rx: Receive,
    pub(crate) tickets: Tickets,
    pub(crate) control: Control,
    /// Boxed, because a connection is idle before it has ended.
    pub(crate) end: Option<Box<End>>,
    pub(crate) orders: Arc<Orders>,
    moving: Moving,
    programs: Programs,
    /// The task that waits in a read: an inbox that is made meanwhile has to wake it.
    reader: Option<Waker>,
    /// Whether it stands for a connection whose handshake is not done.
    is_early: bool,
    tx_bytes: u64,
    rx_bytes: u64,
}

impl Connection {
    pub(crate) fn new(
        tx: Transmit,
        rx: Receive,
        tickets: Tickets,
        orders: Arc<Orders>,
        end: Option<End>,
    ) -> Self {
        // A peer may send with its last flight, and the handshake has opened that.
        let rx_bytes = rx.plaintext().len() as u64;
        Self {
            tx,
            rx,
            tickets,
            control: Control::default(),
            end: end.map(Box::new),
            orders,
            moving: Moving::default(),
            programs: Programs::default(),
            reader: None,
            is_early: false,
            tx_bytes: 0,
            rx_bytes,
        }
    }

    pub(crate) fn engines(&self) -> Engines {
        Engines {
            tx: self.tx.engine(),
            rx: self.rx.engine(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            tx_bytes: self.tx_bytes,
            rx_bytes: self.rx_bytes,
            tx_key_updates: self.tx.key_updates(),
            rx_key_updates: self.rx.key_updates(),
        }
    }

    /// Notes the task that waits in a read.
    #[cfg(feature = "tokio")]
    pub(crate) fn note_reader(&mut self, waker: &Waker) {
        note(&mut self.reader, waker);
    }

    /// Has the task look again that waits in a read.
    pub(crate) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Keys of a direction that this process holds.
    fn own_keys(&self, direction: Direction) -> Option<&TrafficKeys> {
        match (direction, &self.tx, &self.rx) {
            (Direction::Tx, Transmit::User(tx), _) => Some(tx.sealer.keys()),
            (Direction::Rx, _, Receive::User(rx)) => Some(rx.opener.keys()),
            _ => None,
        }
    }

    /// Writes application data from up to [`MAX_SLICES`] of `slices`, as far as a program passes
    /// it; see [`Transmit::write`].
    pub(crate) fn write_slices(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        self.move_tx(transport.socket(), Occasion::Write)?;
        self.obey(transport)?;
        self.write_before_orders(transport, slices, more)
    }

    /// The same for data that was taken before anything was asked of the session.
    pub(crate) fn write_before_orders(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        self.send_redirected(transport)?;
        if self.judges_egress() {
            return self.write_judged(transport, slices, more);
        }
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
        let data = ContentType::APPLICATION_DATA;
        let (tx, mut transport) = self.sending(transport);
        let n = tx.write(&mut transport, data, &mut own[..len], more)?;
        self.sent(n);
        Ok(n)
    }

    /// Writes records of any type; see [`Transmit::write`]. Programs see application data only.
    pub(crate) fn write_typed(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<usize> {
        if content_type == ContentType::APPLICATION_DATA {
            return self.write_slices(transport, slices, false);
        }
        self.obey(transport)?;
        self.flush_programs(transport)?;
        let (tx, mut transport) = self.sending(transport);
        tx.write(&mut transport, content_type, slices, false)
    }

    /// Counts application data that was taken to be sent.
    fn sent(&mut self, n: usize) {
        self.tx_bytes += n as u64;
        self.control.sent(n);
    }

    /// Sends all that was sealed.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.obey(transport)?;
        self.flush_programs(transport)?;
        self.flush_sealed(transport)
    }

    /// Seals what others redirected here, what the program judged, and what it redirected to its own
    /// stream.
    fn flush_programs(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.send_redirected(transport)?;
        self.flush_judged(transport)?;
        self.send_redirected(transport).map(drop)
    }

    /// Sends what no program has to be asked about: a reader may do that, who could not be told
    /// what a program refuses.
    fn flush_sealed(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let (tx, mut transport) = self.sending(transport);
        tx.flush(&mut transport)?;
        transport.flush()
    }

    /// Starts a key update, and sends it as far as the socket takes it; whoever comes next sends the
    /// rest. `WouldBlock` never: whoever repeated the call would update the key twice.
    pub(crate) fn key_update(
        &mut self,
        transport: &mut impl Transport,
        request: KeyUpdateRequest,
    ) -> io::Result<()> {
        if self.tx.is_closed() {
            return Err(Error::WriteAfterClose.into());
        }
        if !self.tx.can_update_key() {
            return Err(self.tx.cannot_update_key().into());
        }
        self.tx.want_key_update(request);
        match self.flush_sealed(transport) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                self.control.answer_due = true;
                // A reader sends what is due, and waits for room from now on, too.
                self.wake_reader();
                Ok(())
            }
            sent => sent,
        }
    }

    /// Queues close_notify, once, and sends what is pending.
    pub(crate) fn close(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.obey(transport)?;
        self.finish_sending(transport)?;
        self.flush_sealed(transport)?;
        match self.tx.is_broken() {
            // No close_notify went out, and what was written did not arrive.
            true => Err(Error::WriteAfterClose.into()),
            false => Ok(()),
        }
    }

    /// Queues close_notify behind all that was written.
    fn finish_sending(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        if self.judges_egress() {
            self.send_redirected(transport)?;
            self.finish_judged(transport)?;
        }
        // Only now: the program may have redirected what it held to its own stream.
        self.close_inbox(underseal_message::MessageDirection::Egress);
        self.send_redirected(transport)?;
        self.tx.queue_close_notify();
        Ok(())
    }

    /// Ends the connection: the peer is told if there is something to tell, and both directions
    /// stay dead.
    fn fail(&mut self, transport: &mut impl Transport, error: Error) -> Error {
        self.end = Some(Box::new(End::Failed(error.clone())));
        // Of the record that came at the wrong place; all before it was read.
        self.rx.consume(usize::MAX);
        self.close_inbox(underseal_message::MessageDirection::Egress);
        self.close_inbox(underseal_message::MessageDirection::Ingress);
        if let (Receive::Kernel(_), Some(socket)) = (&self.rx, transport.socket()) {
            // It would be what becomes of the alert; the reader is told already.
            kernel::take_error(socket);
        }
        match error.alert() {
            Some(description) => {
                self.tx.queue_alert(AlertLevel::Fatal, description);
                // Best effort: the caller learns why the connection failed, not that telling the
                // peer failed too. What the socket has no room for is sent by whoever comes next.
                self.control.answer_due = true;
                self.answer(transport);
            }
            None => self.tx.close_silently(),
        }
        error
    }

    /// The socket of a direction that the kernel holds.
    pub(crate) fn kernel_socket<'s>(
        &self,
        direction: Direction,
        socket: Option<BorrowedFd<'s>>,
    ) -> Result<BorrowedFd<'s>, Error> {
        let engine = match direction {
            Direction::Tx => self.tx.engine(),
            Direction::Rx => self.rx.engine(),
        };
        match (engine, socket) {
            (Engine::Kernel, Some(socket)) => Ok(socket),
            _ => Err(Error::unsupported("an option of the kernel engine alone")),
        }
    }
}

/// Slices of one vectored write that are looked at; the rest is the next write's.
const MAX_SLICES: usize = 16;
