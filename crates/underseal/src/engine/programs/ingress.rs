//! The program on what a connection receives.

use std::io::IoSlice;
use std::sync::Arc;

use underseal_message::{Decision, Denied, MessageDirection, Offer, Peer, Program};
use underseal_sys::tls::Direction;

use super::{AnyFilter, Redirected, Waiting, redirect};
use crate::Error;
use crate::engine::{Connection, End};
use crate::transport::Transport;

/// A program on what is received, and what belongs to it.
pub(super) struct Ingress {
    filter: AnyFilter,
    /// Data that was opened and could not be judged to its end, because the target of a redirect
    /// had no room.
    waiting: Vec<u8>,
    /// Whether it is such a target that keeps this direction from going on.
    is_blocked: bool,
    /// Whether the program has judged what it held at the end of the stream.
    finished: bool,
}

impl Ingress {
    /// `unread` is what was opened before the program came.
    pub(super) fn new(filter: AnyFilter, unread: Vec<u8>) -> Self {
        Self {
            filter,
            waiting: unread,
            is_blocked: false,
            finished: false,
        }
    }

    pub(super) fn keeps_anything(&self) -> bool {
        self.filter.kept() > 0 || !self.waiting.is_empty()
    }
}

/// What the program said about data that was opened.
#[derive(Default)]
struct Judged {
    /// So many of the bytes offered pass where they lie, from the first on.
    in_place: usize,
    /// What passes behind them.
    moved: Vec<u8>,
    /// So many bytes offered were dealt with in any way.
    accepted: usize,
    /// Whether a target had no room for the rest.
    is_blocked: bool,
}

impl Connection {
    /// Whether a program looks at what is received.
    pub(in crate::engine) fn judges_ingress(&mut self) -> bool {
        self.programs.ingress().is_some()
    }

    /// Has the program judge a record that was just opened: `n` bytes of it are in `out`, and the
    /// rest, if `out` is full, in `rx.plaintext()`. Returns how many bytes are in `out` then; what
    /// passes behind them is in `rx.plaintext()`, if `out` is full.
    pub(in crate::engine) fn judge(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
        n: usize,
    ) -> Result<usize, Error> {
        let Some((ingress, waiting)) = self.programs.ingress_and_waiting() else {
            return Ok(n);
        };
        let slices = [&out[..n], self.rx.plaintext()];
        let len = n + slices[1].len();
        if len == 0 {
            return Ok(0);
        }
        let offered = slices.map(IoSlice::new);
        let judged = carry_out(ingress.filter.offer(&offered), &slices, transport, waiting);
        let judged = match judged {
            Ok(judged) if judged.in_place == len => return Ok(n),
            Ok(judged) => judged,
            Err(denied) => return Err(self.end_ingress(denied)),
        };
        ingress.waiting = range_of(&slices, judged.accepted, len);
        ingress.is_blocked = judged.is_blocked;
        // Of the bytes in place, those that are not in `out` have to make room.
        let mut behind = range_of(&slices, n.min(judged.in_place), judged.in_place);
        behind.extend_from_slice(&judged.moved);
        self.rx.consume(len - n);
        self.rx.put_back(&behind);
        let kept = n.min(judged.in_place);
        let ready = kept + self.rx.take(&mut out[kept..]);
        self.end_if_program_did(ready > 0)?;
        Ok(ready)
    }

    /// Offers data again that a full target kept waiting. What passes is in `rx.plaintext()`;
    /// whether nothing waits any more.
    pub(in crate::engine) fn judge_waiting(
        &mut self,
        transport: &mut impl Transport,
    ) -> Result<bool, Error> {
        let Some((ingress, waiting)) = self.programs.ingress_and_waiting() else {
            return Ok(true);
        };
        if ingress.waiting.is_empty() && !ingress.is_blocked {
            return Ok(true);
        }
        let data = std::mem::take(&mut ingress.waiting);
        let offered = [IoSlice::new(&data)];
        let offer = match data.is_empty() {
            true => ingress.filter.flush(),
            false => ingress.filter.offer(&offered),
        };
        match carry_out(offer, &[&data], transport, waiting) {
            Ok(judged) => {
                ingress.waiting = data[judged.accepted..].to_vec();
                ingress.is_blocked = judged.is_blocked;
                let is_done = ingress.waiting.is_empty() && !ingress.is_blocked;
                self.rx
                    .put_back(&[&data[..judged.in_place], &judged.moved].concat());
                self.end_if_program_did(false)?;
                Ok(is_done)
            }
            Err(denied) => Err(self.end_ingress(denied)),
        }
    }

    /// Has the program judge what it holds at the end of the stream. What passes is in
    /// `rx.plaintext()`; whether it is done.
    pub(in crate::engine) fn finish_ingress(
        &mut self,
        transport: &mut impl Transport,
    ) -> Result<bool, Error> {
        let Some((ingress, waiting)) = self.programs.ingress_and_waiting() else {
            return Ok(true);
        };
        if ingress.finished {
            return Ok(true);
        }
        match carry_out(ingress.filter.shutdown(), &[], transport, waiting) {
            Ok(judged) => {
                ingress.is_blocked = judged.is_blocked;
                ingress.finished = !judged.is_blocked;
                let finished = ingress.finished;
                self.rx.put_back(&judged.moved);
                self.end_if_program_did(false)?;
                Ok(finished)
            }
            Err(denied) => Err(self.end_ingress(denied)),
        }
    }

    /// Whether a full target keeps this direction from going on; then its task is woken when there
    /// is room.
    pub(in crate::engine) fn waits_for_target(&mut self) -> Option<Arc<Waiting>> {
        let attached = self.programs.get()?;
        let is_blocked = attached.ingress.as_ref()?.is_blocked;
        is_blocked.then(|| Arc::clone(&attached.waiting))
    }

    /// Ends the receiving direction if the program says why the stream is over. What passed before
    /// is read first: an error now only if none of it is left, nor has been `read`.
    fn end_if_program_did(&mut self, read: bool) -> Result<(), Error> {
        let ingress = self.programs.ingress();
        let Some(reason) = ingress.and_then(|ingress| ingress.filter.error()) else {
            return Ok(());
        };
        let error = self.fail_reading(Denied::Ended(reason));
        match read || !self.rx.plaintext().is_empty() {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Ends the receiving direction: nobody can judge what comes, nor what is left of a record.
    fn end_ingress(&mut self, denied: Denied) -> Error {
        self.rx.consume(usize::MAX);
        self.fail_reading(denied)
    }

    /// Has every read fail once the plaintext is read that is there.
    fn fail_reading(&mut self, denied: Denied) -> Error {
        let error = Error::from(denied);
        self.end = Some(Box::new(End::Failed(error.clone())));
        self.close_inbox(MessageDirection::Ingress);
        error
    }
}

/// Carries out what the program decides about data that lies in `slices`.
fn carry_out<P: Program<Peer>>(
    mut offer: Offer<'_, '_, P, Peer>,
    slices: &[&[u8]],
    transport: &mut impl Transport,
    waiting: &Arc<Waiting>,
) -> Result<Judged, Denied> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut judged = Judged::default();
    while let Some(decision) = offer.next() {
        let (to, direction, chunk) = match decision {
            Decision::Pass(chunk) => {
                let start = len - chunk.behind() - chunk.offered().len();
                let in_place = judged.moved.is_empty() && chunk.own().is_empty();
                match in_place && start == judged.in_place {
                    true => judged.in_place += chunk.len(),
                    false => chunk
                        .slices()
                        .for_each(|slice| judged.moved.extend_from_slice(slice)),
                }
                let taken = chunk.len();
                offer.taken(taken);
                continue;
            }
            Decision::Redirect {
                to,
                direction,
                chunk,
            } => (to, direction, chunk),
        };
        match redirect(transport, waiting, Direction::Rx, to, direction, chunk) {
            Redirected::Taken(n) => offer.taken(n),
            Redirected::Full => {
                judged.is_blocked = true;
                break;
            }
            Redirected::Closed => offer.refuse(),
        }
    }
    judged.accepted = offer.accepted();
    offer.finish()?;
    Ok(judged)
}

/// The bytes from `start` to `end` of all slices.
fn range_of(slices: &[&[u8]], start: usize, end: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    for slice in slices {
        let from = start.saturating_sub(offset).min(slice.len());
        let to = end.saturating_sub(offset).min(slice.len());
        bytes.extend_from_slice(&slice[from..to]);
        offset += slice.len();
    }
    bytes
}
