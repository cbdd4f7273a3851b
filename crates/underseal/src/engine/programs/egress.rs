//! The program on what a connection sends.

use std::io::{self, IoSlice};
use std::sync::Arc;

use underseal_message::{Chunk, Decision, Denied, Inbox, Offer, Peer, Program};
use underseal_sys::tls::Direction;

use super::{AnyFilter, Redirected, Waiting, redirect, send_data, send_inbox};
use crate::Error;
use crate::buffers;
use crate::engine::send_side::SendSide;
use crate::engine::{Connection, Control, MAX_SLICES, Transmit};
use crate::transport::Transport;

/// Bytes of a file or a pipe that a program is shown at once.
const PIECE: usize = 64 * 1024;

/// A program on what is sent, and what belongs to it.
pub(super) struct Egress {
    filter: AnyFilter,
    /// Bytes that were taken out of a pipe, to which they cannot go back, and not accepted yet.
    from_pipe: Vec<u8>,
    /// Whether the program has judged what it held at the end.
    finished: bool,
}

impl Egress {
    pub(super) fn new(filter: AnyFilter) -> Self {
        Self {
            filter,
            from_pipe: Vec::new(),
            finished: false,
        }
    }

    pub(super) fn keeps_anything(&self) -> bool {
        self.filter.kept() > 0 || !self.from_pipe.is_empty()
    }

    /// Why nothing goes on any more, if so.
    pub(super) fn ended(&self) -> Option<Denied> {
        self.filter.ended()
    }
}

impl Connection {
    /// Whether a program looks at what is sent.
    pub(crate) fn judges_egress(&mut self) -> bool {
        self.programs.egress().is_some()
    }

    /// Bytes that may be sent without being looked at, although there is a program; it is told of
    /// them by [`Self::pass_ahead`]. None while anything has to be sent before them.
    pub(in crate::engine) fn passes_ahead(&mut self) -> u64 {
        match self.programs.egress() {
            Some(egress) if egress.from_pipe.is_empty() => egress.filter.passes_ahead(),
            _ => 0,
        }
    }

    pub(in crate::engine) fn pass_ahead(&mut self, len: usize) {
        if let Some(egress) = self.programs.egress() {
            egress.filter.pass_ahead(len as u64);
        }
    }

    /// Writes application data that the program passes; returns how many bytes it accepted.
    pub(in crate::engine) fn write_judged(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let (tx, mut side) = self.sending(transport);
        tx.ensure_open(&mut side)?;
        self.offer_rest(transport)?;
        self.offer(transport, slices, more)
    }

    // Inlined, as is what it calls: each return after a system call is one that the CPU could not
    // predict, and costs a program that passes everything as much as its verdict does.
    #[inline]
    fn offer(
        &mut self,
        transport: &mut impl Transport,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let accepted = self.with_egress(transport, more, |egress, out| {
            let mut offer = egress.filter.offer(slices);
            match out.carry_out(&mut offer) {
                Err(error) if offer.accepted() == 0 => Err(error),
                // What was accepted has gone somewhere: its writer would send it again. A failure
                // that lasts is told by the next write.
                _ => Ok(offer.finish().map_err(Error::from)?),
            }
        })?;
        // What it redirected to its own stream; `flush` waits for the rest, and says why it fails.
        let _ = self.send_redirected(transport);
        Ok(accepted.unwrap_or(0))
    }

    /// Sends what the program judged and the socket did not take. A refusal is told by the next
    /// write.
    pub(in crate::engine) fn flush_judged(
        &mut self,
        transport: &mut impl Transport,
    ) -> io::Result<()> {
        self.offer_rest(transport)?;
        let flushed = self.with_egress(transport, false, |egress, out| {
            out.carry_out(&mut egress.filter.flush())
        });
        flushed.map(drop)
    }

    /// Has the program judge what it holds: nothing will follow. A refusal that nobody was told is
    /// told once, in the place of the end.
    pub(in crate::engine) fn finish_judged(
        &mut self,
        transport: &mut impl Transport,
    ) -> io::Result<()> {
        if self.tx.is_closed() {
            return Ok(());
        }
        self.offer_rest(transport)?;
        let finished = self.with_egress(transport, false, |egress, out| {
            if egress.finished {
                return Ok(());
            }
            let mut offer = egress.filter.shutdown();
            out.carry_out(&mut offer)?;
            let refused = offer.finish();
            egress.finished = true;
            Ok(refused.map(drop).map_err(Error::from)?)
        });
        finished.map(drop)
    }

    /// Sends bytes that `fill` provides, and that it can provide again, past the program; returns
    /// how many were accepted, zero if it has none.
    pub(in crate::engine) fn send_judged(
        &mut self,
        transport: &mut impl Transport,
        limit: u64,
        fill: impl FnOnce(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut piece = buffers::lend();
        let len = usize::try_from(limit).map_or(PIECE, |limit| limit.min(PIECE));
        match fill(&mut piece[..len], 0)? {
            0 => Ok(0),
            filled => self.write_judged(transport, &[IoSlice::new(&piece[..filled])], false),
        }
    }

    /// As [`Self::send_judged`], for bytes that are had only once: those that are not accepted now
    /// are kept, and count as sent. What is refused behind others is told by the next call; if
    /// nothing was accepted before it, by this one.
    pub(in crate::engine) fn send_judged_once(
        &mut self,
        transport: &mut impl Transport,
        limit: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.flush(transport)?;
        let mut piece = buffers::lend();
        let filled = fill(&mut piece[..limit.min(PIECE)])?;
        match self.offer_or_keep(transport, &piece[..filled]) {
            Err(error) if !is_would_block(&error) => Err(error),
            _ => Ok(filled),
        }
    }

    /// Offers what came out of a pipe and was kept.
    fn offer_rest(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while let Some(egress) = self.programs.egress()
            && !egress.from_pipe.is_empty()
        {
            let rest = std::mem::take(&mut egress.from_pipe);
            self.offer_or_keep(transport, &rest)?;
        }
        Ok(())
    }

    /// Offers bytes that came out of a pipe, and keeps those that were not accepted. Refused, they
    /// are gone: nobody has them any more.
    fn offer_or_keep(&mut self, transport: &mut impl Transport, bytes: &[u8]) -> io::Result<()> {
        let offered = self.offer(transport, &[IoSlice::new(bytes)], false);
        let kept = match &offered {
            Ok(accepted) => &bytes[*accepted..],
            Err(error) if is_would_block(error) => bytes,
            Err(_) => &[],
        };
        if let Some(egress) = self.programs.egress() {
            egress.from_pipe = kept.to_vec();
        }
        offered.map(drop)
    }

    /// Calls with the program, if there is one, and with what carries out its decisions.
    fn with_egress<T: Transport, R>(
        &mut self,
        transport: &mut T,
        more: bool,
        call: impl FnOnce(&mut Egress, &mut Out<'_, SendSide<'_, T>>) -> io::Result<R>,
    ) -> io::Result<Option<R>> {
        let Some((egress, waiting, inbox)) = self.programs.egress_and_inbox() else {
            return Ok(None);
        };
        let mut side = SendSide::new(&mut self.rx, &mut self.reader, transport);
        let mut out = Out {
            tx: &mut self.tx,
            tx_bytes: &mut self.tx_bytes,
            control: &mut self.control,
            transport: &mut side,
            waiting,
            inbox,
            more,
        };
        call(egress, &mut out).map(Some)
    }
}

pub(in crate::engine) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// The ways out of a connection that a decision can name.
struct Out<'a, T> {
    tx: &'a mut Transmit,
    tx_bytes: &'a mut u64,
    control: &'a mut Control,
    transport: &'a mut T,
    waiting: &'a Arc<Waiting>,
    /// What others, and this program itself, redirected here.
    inbox: Option<&'a mut Inbox>,
    /// Whether the last record stays open.
    more: bool,
}

impl<T: Transport> Out<'_, T> {
    /// Carries out what the program decides, as far as sockets take it.
    #[inline(always)]
    fn carry_out<P: Program<Peer>>(
        &mut self,
        offer: &mut Offer<'_, '_, P, Peer>,
    ) -> io::Result<()> {
        let carried_out = self.carry_out_each(offer);
        self.tx.send_gathered(self.transport)?;
        carried_out
    }

    #[inline]
    fn carry_out_each<P: Program<Peer>>(
        &mut self,
        offer: &mut Offer<'_, '_, P, Peer>,
    ) -> io::Result<()> {
        while let Some(decision) = offer.next() {
            let (to, direction, chunk) = match decision {
                Decision::Pass(chunk) => {
                    let n = self.send(chunk)?;
                    offer.taken(n);
                    continue;
                }
                Decision::Redirect {
                    to,
                    direction,
                    chunk,
                } => (to, direction, chunk),
            };
            let waiter = Direction::Tx;
            let is_own = self.inbox.as_ref().is_some_and(|inbox| inbox.is_of(to));
            match redirect(self.transport, self.waiting, waiter, to, direction, chunk) {
                Redirected::Taken(n) => offer.taken(n),
                Redirected::Closed => offer.refuse(),
                Redirected::Full if offer.accepted() > 0 => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Redirected::Full => self.make_room(is_own)?,
            }
        }
        Ok(())
    }

    /// Sends what waits in the own inbox or, if nothing does, waits for the target: that may be this
    /// stream, or one that waits for it.
    #[cold]
    fn make_room(&mut self, is_own: bool) -> io::Result<()> {
        let made = match &mut self.inbox {
            Some(inbox) => send_inbox(inbox, self.tx, self.control, self.transport)?,
            None => 0,
        };
        match made {
            0 if is_own => Err(io::ErrorKind::WouldBlock.into()),
            0 => self.transport.wait(self.waiting),
            _ => Ok(()),
        }
    }

    /// Seals and sends a chunk, or a part of it. A verdict ends where a record does.
    #[inline]
    fn send(&mut self, chunk: Chunk<'_>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let slices = chunk.gather(&mut slices);
        let n = match chunk.behind() {
            0 => send_data(self.tx, self.transport, slices, self.more)?,
            _ => self.tx.gather(self.transport, slices)?,
        };
        *self.tx_bytes += n as u64;
        self.control.sent(n);
        Ok(n)
    }
}
