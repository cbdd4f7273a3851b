//! Programs on the plaintext of a connection, and what other connections' programs send it.
//!
//! 1. Data is judged before it is sealed and right after it was opened: whatever
//!    [`Receive::plaintext`](super::Receive::plaintext) shows has been judged.
//! 2. Control records go past programs.
//! 3. A connection without programs owns one null pointer for them.

mod egress;
mod ingress;
mod waiting;

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use underseal_message::{
    Chunk, Filter, Inbox, MessageDirection, Notify, Peer, Program, RedirectError,
};
use underseal_record::ContentType;
use underseal_sys::tls::Direction;

use super::send_side::SendSide;
use super::{Connection, Control, Transmit};
use crate::Error;
use crate::transport::Transport;
use egress::Egress;
use ingress::Ingress;

pub(super) use egress::is_would_block;
pub(crate) use waiting::Waiting;
#[cfg(feature = "tokio")]
pub(crate) use waiting::note;

/// A filter of any program. What it redirects goes to a [`Peer`].
type AnyFilter = Filter<Box<dyn Program<Peer> + Send>, Peer>;

/// The programs of a connection. The mutex is never locked: it makes a connection `Sync` whose
/// programs need not be.
#[derive(Default)]
pub(super) struct Programs(Option<Box<Mutex<Attached>>>);

/// What belongs to the programs of one connection.
#[derive(Default)]
struct Attached {
    egress: Option<Egress>,
    ingress: Option<Ingress>,
    /// What others redirect to this connection.
    inbox: Option<Inbox>,
    /// Whom targets of redirects, and the inbox, notify.
    waiting: Arc<Waiting>,
}

impl Programs {
    fn get(&mut self) -> Option<&mut Attached> {
        let attached = self.0.as_mut()?;
        Some(attached.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    fn get_or_make(&mut self) -> &mut Attached {
        let attached = self.0.get_or_insert_default();
        attached.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn egress(&mut self) -> Option<&mut Egress> {
        self.get()?.egress.as_mut()
    }

    fn ingress(&mut self) -> Option<&mut Ingress> {
        self.get()?.ingress.as_mut()
    }

    fn egress_and_inbox(&mut self) -> Option<(&mut Egress, &Arc<Waiting>, Option<&mut Inbox>)> {
        let attached = self.get()?;
        let inbox = attached.inbox.as_mut();
        Some((attached.egress.as_mut()?, &attached.waiting, inbox))
    }

    fn ingress_and_waiting(&mut self) -> Option<(&mut Ingress, &Arc<Waiting>)> {
        let attached = self.get()?;
        Some((attached.ingress.as_mut()?, &attached.waiting))
    }

    fn inbox(&mut self) -> Option<&mut Inbox> {
        self.get()?.inbox.as_mut()
    }
}

impl Connection {
    /// Whether there is anything to ask before data is read.
    pub(super) fn has_programs(&self) -> bool {
        self.programs.0.is_some()
    }

    /// Attaches a program; data that was opened and not read yet is its first message.
    pub(crate) fn attach<P>(&mut self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        let direction = filter.direction();
        let (longest, limit) = (filter.program().longest_cork(), filter.holds_up_to());
        if longest > limit as u64 {
            return Err(Error::CorkLimit { longest, limit });
        }
        let attached = self.programs.get_or_make();
        let is_taken = match direction {
            MessageDirection::Egress => attached.egress.is_some(),
            MessageDirection::Ingress => attached.ingress.is_some(),
        };
        if is_taken {
            return Err(Error::ProgramAttached(direction));
        }
        match direction {
            MessageDirection::Egress => attached.egress = Some(Egress::new(filter.boxed())),
            MessageDirection::Ingress => {
                let plaintext = self.rx.plaintext().to_vec();
                self.rx.consume(plaintext.len());
                attached.ingress = Some(Ingress::new(filter.boxed(), plaintext));
            }
        }
        Ok(())
    }

    /// Takes the program of `direction` away, unless bytes are kept for it.
    pub(crate) fn detach(&mut self, direction: MessageDirection) -> Result<(), Error> {
        let Some(attached) = self.programs.get() else {
            return Ok(());
        };
        if let (MessageDirection::Egress, Some(egress)) = (direction, &attached.egress)
            && let Some(denied) = egress.ended()
        {
            // Without the program the direction would go on.
            return Err(denied.into());
        }
        let keeps = match direction {
            MessageDirection::Egress => {
                attached.egress.as_ref().is_some_and(Egress::keeps_anything)
            }
            MessageDirection::Ingress => {
                let ingress = attached.ingress.as_ref();
                ingress.is_some_and(Ingress::keeps_anything)
            }
        };
        if keeps {
            return Err(Error::ProgramHoldsData(direction));
        }
        match direction {
            MessageDirection::Egress => attached.egress = None,
            MessageDirection::Ingress => attached.ingress = None,
        }
        Ok(())
    }

    /// A direction that has a program.
    pub(crate) fn program_attached(&mut self) -> Option<MessageDirection> {
        let attached = self.programs.get()?;
        let egress = attached.egress.as_ref().map(|_| MessageDirection::Egress);
        egress.or(attached.ingress.as_ref().map(|_| MessageDirection::Ingress))
    }

    /// Whether bytes are kept for programs, or by them for this connection, that belong to
    /// somebody.
    pub(crate) fn programs_hold_data(&mut self) -> bool {
        let Some(attached) = self.programs.get() else {
            return false;
        };
        let egress = attached.egress.as_ref().map(Egress::keeps_anything);
        let ingress = attached.ingress.as_ref().map(Ingress::keeps_anything);
        let inbox = attached.inbox.as_ref().map(|inbox| {
            let peer = inbox.peer();
            peer.waiting(MessageDirection::Egress) + peer.waiting(MessageDirection::Ingress) > 0
        });
        [egress, ingress, inbox].contains(&Some(true))
    }

    /// What others redirect to this connection with. What has ended already takes nothing.
    pub(crate) fn redirect_peer(&mut self, limit: usize) -> Peer {
        let attached = self.programs.get_or_make();
        let inbox = attached.inbox.get_or_insert_with(|| {
            // It began to wait when there was no inbox, and is woken as if there had been one.
            // It waits for other things, too.
            if let Some(reader) = &self.reader {
                attached.waiting.note_task(Direction::Rx, reader);
            }
            Inbox::new(limit, Arc::clone(&attached.waiting) as _)
        });
        if self.tx.is_closed() && !self.is_early {
            inbox.close(MessageDirection::Egress);
        }
        if self.end.is_some() && !self.is_early {
            inbox.close(MessageDirection::Ingress);
        }
        inbox.peer()
    }

    /// Sends what others, and the own programs, redirected here to be sent, before anything of its
    /// owner. Returns for how many bytes there is room then.
    pub(super) fn send_redirected(&mut self, transport: &mut impl Transport) -> io::Result<usize> {
        match self.programs.inbox() {
            Some(inbox) => {
                let (rx, reader) = (&mut self.rx, &mut self.reader);
                let mut side = SendSide::new(rx, reader, transport);
                send_inbox(inbox, &mut self.tx, &mut self.control, &mut side)
            }
            None => Ok(0),
        }
    }

    /// Takes care of the inbox on behalf of a reader: it is woken by what comes, and sends what is
    /// to be sent.
    pub(super) fn tend_inbox(&mut self, transport: &mut impl Transport) {
        let Some(attached) = self.programs.get() else {
            return;
        };
        if attached.inbox.is_some() {
            transport.note(&attached.waiting, Direction::Rx);
            // A failure to send shows again, with its reason, at the next write or flush.
            let sent = self.send_redirected(transport);
            // The socket may have taken a part: the reader sends the rest, too.
            self.control.answer_due |= !matches!(sent, Ok(0));
        }
    }

    /// Puts what others redirected here to be read in front of the next record; whether there was
    /// anything.
    pub(super) fn take_redirected(&mut self) -> bool {
        let Some(inbox) = self.programs.inbox() else {
            return false;
        };
        let chunk = inbox.chunk(MessageDirection::Ingress);
        let len = chunk.len();
        if len > 0 {
            self.rx.put_back(chunk);
            inbox.consume(MessageDirection::Ingress, len);
        }
        len > 0
    }

    /// Takes nothing more that others redirect to this connection.
    pub(super) fn close_inbox(&mut self, direction: MessageDirection) {
        if let Some(inbox) = self.programs.inbox() {
            inbox.close(direction);
        }
    }
}

/// Sends what is in the inbox to be sent. What comes too late is thrown away, and nothing more is
/// taken; returns for how many bytes there is room then.
fn send_inbox(
    inbox: &mut Inbox,
    tx: &mut Transmit,
    control: &mut Control,
    transport: &mut impl Transport,
) -> io::Result<usize> {
    let mut gone = 0;
    loop {
        if tx.is_closed() {
            inbox.close(MessageDirection::Egress);
        }
        let chunk = inbox.chunk(MessageDirection::Egress);
        let n = match chunk.len() {
            0 => return Ok(gone),
            len if tx.is_closed() => len,
            _ => {
                let sent = send_data(tx, transport, &mut [IoSlice::new(chunk)], false)?;
                control.sent(sent);
                // Who writes need not flush what is not his own, and who redirected it cannot.
                control.answer_due = true;
                sent
            }
        };
        inbox.consume(MessageDirection::Egress, n);
        gone += n;
    }
}

/// Seals and sends application data.
fn send_data(
    tx: &mut Transmit,
    transport: &mut impl Transport,
    slices: &mut [IoSlice<'_>],
    more: bool,
) -> io::Result<usize> {
    tx.write(transport, ContentType::APPLICATION_DATA, slices, more)
}

/// What redirecting a chunk came to.
enum Redirected {
    Taken(usize),
    /// The target has no room; it notifies whoever waits in `transport`'s direction.
    Full,
    Closed,
}

/// Gives `chunk` to `to`. `waiter` is the direction of this connection that waits for room.
fn redirect(
    transport: &mut impl Transport,
    waiting: &Arc<Waiting>,
    waiter: Direction,
    to: &Peer,
    direction: MessageDirection,
    chunk: Chunk<'_>,
) -> Redirected {
    let sender: Arc<dyn Notify> = Arc::clone(waiting) as _;
    let mut sent = to.send(direction, chunk, &sender);
    if sent == Err(RedirectError::Full) {
        // Whom to wake is noted only now, and room made in between is looked for again.
        transport.note(waiting, waiter);
        sent = to.send(direction, chunk, &sender);
    }
    match sent {
        Ok(n) => Redirected::Taken(n),
        Err(RedirectError::Full) => Redirected::Full,
        Err(_) => Redirected::Closed,
    }
}
