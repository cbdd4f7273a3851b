use core::fmt;

use crate::dtls::message::Fragment;
use crate::dtls::{EpochSecret, Opener, RecordNumber, Sealer};
use crate::{ApiMisuse, Error, PeerMisbehaved};

/// Bytes of a KeyUpdate message: the header of a handshake message and one byte (RFC 9147 section
/// 5.2, RFC 8446 section 4.6.3).
pub const KEY_UPDATE_LEN: usize = 13;
/// Bytes of an ACK of one record (RFC 9147 section 7).
pub const ACK_LEN: usize = 2 + NUMBER_LEN;

/// `key_update` among the types of handshake messages.
const KEY_UPDATE: u8 = 24;
/// An epoch and a sequence number, eight bytes each.
const NUMBER_LEN: usize = 16;
/// Records that may have carried a KeyUpdate that is not acknowledged: it is repeated so often.
const MAX_REPEATS: usize = 16;

/// Key updates of both directions of an association of DTLS 1.3 (RFC 9147 section 8).
///
/// A KeyUpdate may be lost, so that its sender goes on under the old key until the peer has
/// acknowledged it, and repeats it meanwhile. When to repeat is the caller's to say: this knows no
/// clock.
pub struct KeyUpdates {
    send: EpochSecret,
    receive: EpochSecret,
    next_sent: u16,
    next_received: u16,
    /// Bytes of the next message that came already.
    begun: usize,
    /// The records that carried the KeyUpdate which is not acknowledged yet.
    carried_by: Vec<RecordNumber>,
    message: Option<[u8; KEY_UPDATE_LEN]>,
}

/// What the messages of a handshake record were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// A KeyUpdate: the receiving direction is in its next epoch. The ACK is due in answer, and a
    /// KeyUpdate of this side where it `is_requested`.
    Updated {
        /// The body of an ACK record.
        ack: [u8; ACK_LEN],
        /// Whether the peer asks for an update of the other direction.
        is_requested: bool,
    },
    /// Other messages, or parts of them, which are next in order: tickets and whatever else follows a
    /// handshake. Reading them is the caller's; the ACK is due in answer.
    Other {
        /// The body of an ACK record.
        ack: [u8; ACK_LEN],
    },
    /// Messages that came before: their ACK was lost, and is due again.
    Repeated {
        /// The body of an ACK record.
        ack: [u8; ACK_LEN],
    },
    /// None that is whole, or some that others come before: no ACK, so that the peer repeats them.
    Ignored,
}

/// What one fragment was.
enum Part {
    Update { is_requested: bool },
    Next,
    Repeated,
}

impl KeyUpdates {
    /// Key updates from these secrets on; the handshake's messages had the numbers below
    /// `next_sent` and `next_received`.
    pub fn new(
        send: EpochSecret,
        receive: EpochSecret,
        next_sent: u16,
        next_received: u16,
    ) -> Self {
        Self {
            send,
            receive,
            next_sent,
            next_received,
            begun: 0,
            carried_by: Vec::new(),
            message: None,
        }
    }

    /// The KeyUpdate that is due: to be sealed as a handshake record, whose number
    /// [`carried`](Self::carried) is told. While one is not acknowledged it is that one again, whatever
    /// it requests: there is never a second (RFC 9147 section 8).
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] where no epoch or message number is left.
    pub fn message(&mut self, request: bool) -> Result<[u8; KEY_UPDATE_LEN], Error> {
        if let Some(message) = self.message {
            return Ok(message);
        }
        let last = self.send.epoch() == u16::MAX || self.next_sent == u16::MAX;
        if last {
            return Err(Error::ConfidentialityLimit);
        }
        let [high, low] = self.next_sent.to_be_bytes();
        let message = [
            KEY_UPDATE,
            0,
            0,
            1,
            high,
            low,
            0,
            0,
            0,
            0,
            0,
            1,
            u8::from(request),
        ];
        self.next_sent += 1;
        self.message = Some(message);
        Ok(message)
    }

    /// Notes the number of a record that carries the message. Of a message that is repeated without
    /// end the last sixteen are known.
    pub fn carried(&mut self, by: RecordNumber) {
        if self.carried_by.len() == MAX_REPEATS {
            self.carried_by.remove(0);
        }
        self.carried_by.push(by);
    }

    /// Whether a KeyUpdate waits for its ACK.
    pub fn is_pending(&self) -> bool {
        self.message.is_some()
    }

    /// Takes the body of an authentic ACK record: where it acknowledges the KeyUpdate, `sealer` goes
    /// on in the next epoch, and `true` is returned.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::EpochOrder`] if `sealer` is in another epoch than these secrets. Nothing was
    /// changed then.
    pub fn acknowledged(&mut self, ack: &[u8], sealer: &mut Sealer) -> Result<bool, Error> {
        let is_ours = self.message.is_some()
            && acknowledged_numbers(ack).any(|number| self.carried_by.contains(&number));
        if !is_ours {
            return Ok(false);
        }
        if !sealer.is_of(&self.send) {
            return Err(ApiMisuse::EpochOrder.into());
        }
        self.send.update()?;
        sealer.advance(self.send.keys())?;
        self.message = None;
        self.carried_by.clear();
        Ok(true)
    }

    /// Takes the body of an authentic handshake record, of number `number`. A KeyUpdate that is next
    /// in order moves `opener` to its next epoch.
    ///
    /// # Errors
    ///
    /// [`PeerMisbehaved::BadKeyUpdate`] ends the association, also for one that is not the last message of
    /// its record or comes in an epoch that its sender has left; [`ApiMisuse::EpochOrder`] as
    /// [`acknowledged`](Self::acknowledged); [`Error::ConfidentialityLimit`] after the last epoch.
    pub fn received(
        &mut self,
        body: &[u8],
        number: RecordNumber,
        opener: &mut Opener,
    ) -> Result<Handled, Error> {
        let ack = ack_of(number);
        let (mut rest, mut handled) = (body, Handled::Ignored);
        while !rest.is_empty() {
            let Some((fragment, after)) = Fragment::first(rest) else {
                return Ok(Handled::Ignored);
            };
            handled = match self.part(&fragment, number, opener, after.is_empty())? {
                None => return Ok(Handled::Ignored),
                Some(Part::Update { is_requested }) => Handled::Updated { ack, is_requested },
                Some(Part::Next) => Handled::Other { ack },
                Some(Part::Repeated) if handled == Handled::Ignored => Handled::Repeated { ack },
                Some(Part::Repeated) => handled,
            };
            rest = after;
        }
        Ok(handled)
    }

    /// `None` for a fragment that others come before.
    fn part(
        &mut self,
        fragment: &Fragment<'_>,
        number: RecordNumber,
        opener: &mut Opener,
        is_last: bool,
    ) -> Result<Option<Part>, Error> {
        if fragment.seq < self.next_received {
            return Ok(Some(Part::Repeated));
        }
        // The last number is never reached: no message could follow.
        if fragment.seq > self.next_received || fragment.seq == u16::MAX {
            return Ok(None);
        }
        if fragment.message_type == KEY_UPDATE {
            let Some(body) = fragment.whole() else {
                return Ok(None);
            };
            let &[request @ (0 | 1)] = body else {
                return Err(PeerMisbehaved::BadKeyUpdate.into());
            };
            self.update(number, opener, is_last)?;
            let is_requested = request == 1;
            return Ok(Some(Part::Update { is_requested }));
        }
        let Some(begun) = fragment.continues(self.begun) else {
            return Ok(None);
        };
        let (is_whole, is_new) = (begun == fragment.message_len, begun > self.begun);
        self.begun = if is_whole { 0 } else { begun };
        self.next_received += u16::from(is_whole);
        Ok(Some(match is_new || is_whole {
            true => Part::Next,
            false => Part::Repeated,
        }))
    }

    /// Goes on in the next epoch of the receiving direction.
    fn update(
        &mut self,
        number: RecordNumber,
        opener: &mut Opener,
        is_last: bool,
    ) -> Result<(), Error> {
        // Who has the ACK of an update sends under its key; until then the epoch before is needed. And
        // no message goes on under another key than it began (RFC 8446 section 5.1).
        if number.epoch != opener.epoch() || !is_last {
            return Err(PeerMisbehaved::BadKeyUpdate.into());
        }
        if !opener.is_of(&self.receive) {
            return Err(ApiMisuse::EpochOrder.into());
        }
        self.receive.update()?;
        opener.advance(self.receive.keys())?;
        self.next_received += 1;
        Ok(())
    }
}

impl fmt::Debug for KeyUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUpdates")
            .field("send", &self.send)
            .field("receive", &self.receive)
            .field("is_pending", &self.is_pending())
            .finish_non_exhaustive()
    }
}

/// The body of the ACK of one record.
fn ack_of(number: RecordNumber) -> [u8; ACK_LEN] {
    let mut ack = [0; ACK_LEN];
    ack[1] = NUMBER_LEN as u8;
    ack[2..].copy_from_slice(&wire(number));
    ack
}

fn wire(number: RecordNumber) -> [u8; NUMBER_LEN] {
    let mut wire = [0; NUMBER_LEN];
    wire[..8].copy_from_slice(&u64::from(number.epoch).to_be_bytes());
    wire[8..].copy_from_slice(&number.seq.to_be_bytes());
    wire
}

/// The numbers in the body of an ACK, those that a record can have; none where its length is not what it
/// says.
pub fn acknowledged_numbers(ack: &[u8]) -> impl Iterator<Item = RecordNumber> + '_ {
    let (numbers, rest) = match ack.split_first_chunk::<2>() {
        Some((len, list)) if usize::from(u16::from_be_bytes(*len)) == list.len() => {
            list.as_chunks::<NUMBER_LEN>()
        }
        _ => (&[][..], &[][..]),
    };
    let whole = if rest.is_empty() { numbers } else { &[] };
    whole.iter().filter_map(|number| {
        let (epoch, seq) = number.split_first_chunk::<8>()?;
        let (seq, _) = seq.split_first_chunk::<8>()?;
        let (epoch, seq) = (u64::from_be_bytes(*epoch), u64::from_be_bytes(*seq));
        let epoch = u16::try_from(epoch).ok()?;
        (seq <= RecordNumber::MAX_SEQ).then_some(RecordNumber { epoch, seq })
    })
}
