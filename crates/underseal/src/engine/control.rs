//! What the peer says besides data: alerts, tickets, key updates, records of other types.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use underseal_record::{AlertDescription, AlertLevel, ContentType, MAX_PLAINTEXT, ProtocolVersion};

use super::receive::Receive;
use crate::handshake::Tickets;
use crate::{Error, PeerMisbehaved};

/// Handshake messages of RFC 8446 section 4 (and, the first two, of RFC 5246 section 7.4) that can
/// come after the handshake.
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
pub(super) const KEY_UPDATE: u8 = 24;

/// Control messages that may come with no data between them. Each record of data that the peer
/// sends earns one back, up to this many: a peer that updates its key once per record is slow but
/// legal, one that does nothing else is not. So does each that it is sent, without a bound: what it
/// says about them may be read long after.
const ALLOWANCE: u32 = 32;

/// Records without data that are handled before other tasks have their turn. One costs some
/// microseconds, most of them for new keys; with 16 a task beside a flood of them waited three times
/// as long as without.
const BUDGET: u8 = 4;

/// Bytes of tickets that may go to the session store with no data between them: the 255 that RFC
/// 9149 lets a client ask for, of half a KiB. What is more is ignored, as an offer may be.
const TICKET_BYTES: u32 = 128 * 1024;

/// Longest handshake message, the bound that rustls has during the handshake.
const MAX_MESSAGE: usize = 0xffff;

const HEADER_LEN: usize = 4;

/// What the engine has to do about a control record.
pub(super) enum Action {
    None,
    /// This much data was delivered.
    Deliver(usize),
    AnswerKeyUpdate,
    Warn(AlertDescription),
    CloseNotify,
}

/// The state of the control messages of one receiving direction.
pub(crate) struct Control {
    /// What hardly any connection holds at any time.
    held: Option<Box<Held>>,
    allowance: u32,
    ticket_bytes: u32,
    /// Records without data that were handled since the last turn of others.
    handled: u8,
    /// Whether records of other types are delivered instead of refused.
    pub(crate) deliver_records: bool,
    /// Something is sealed or to be sealed in answer to what was received.
    pub(super) answer_due: bool,
}

/// Bytes that wait; one of both does.
enum Held {
    /// Of a handshake message that is not complete.
    Message(Vec<u8>),
    /// A record of another type, to be read with `read_record`: what is read of it goes from the front,
    /// and the rest keeps its place.
    Record(ContentType, VecDeque<u8>),
}

impl Default for Control {
    fn default() -> Self {
        Self {
            held: None,
            allowance: ALLOWANCE,
            ticket_bytes: TICKET_BYTES,
            handled: 0,
            deliver_records: false,
            answer_due: false,
        }
    }
}

impl Control {
    /// Whether a part of a message, or a record, would be lost if the connection were taken apart.
    pub(crate) fn holds_anything(&self) -> bool {
        self.held.is_some()
    }

    /// The record that waits for `read_record`, if there is one.
    pub(super) fn pending(&self) -> Option<(ContentType, &[u8])> {
        match self.held.as_deref() {
            Some(Held::Record(content_type, payload)) => {
                Some((*content_type, payload.as_slices().0))
            }
            _ => None,
        }
    }

    /// Keeps a record for `read_record`. There must be none, nor a part of a message.
    fn keep(&mut self, content_type: ContentType, payload: Vec<u8>) {
        debug_assert!(self.held.is_none(), "what waits is read first");
        self.held = Some(Box::new(Held::Record(content_type, payload.into())));
    }

    /// Drops the first `n` bytes of the record that waits, and the record with the last of them.
    pub(super) fn consume(&mut self, n: usize) {
        if let Some(Held::Record(_, payload)) = self.held.as_deref_mut() {
            payload.drain(..n.min(payload.len()));
            if payload.is_empty() {
                self.held = None;
            }
        }
    }

    /// Notes a data record of `len` bytes.
    pub(super) fn data(&mut self, len: usize) -> Result<(), Error> {
        self.check_not_interleaved()?;
        if len > 0 {
            self.allowance = self
                .allowance
                .max(ALLOWANCE.min(self.allowance.saturating_add(1)));
            self.earn_tickets(len);
        }
        Ok(())
    }

    /// Notes that `len` bytes of data were taken to be sent.
    pub(super) fn sent(&mut self, len: usize) {
        let records = u32::try_from(len.div_ceil(MAX_PLAINTEXT)).unwrap_or(u32::MAX);
        self.allowance = self.allowance.saturating_add(records);
        self.earn_tickets(len);
    }

    fn earn_tickets(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.ticket_bytes = self.ticket_bytes.saturating_add(len).min(TICKET_BYTES);
    }

    /// Notes that a record without data was handled.
    pub(super) fn handled(&mut self) {
        self.handled = self.handled.saturating_add(1);
    }

    /// Whether other tasks should have their turn before the next record.
    pub(super) fn is_over_budget(&self) -> bool {
        self.handled >= BUDGET
    }

    /// Others have had their turn.
    pub(super) fn renew_budget(&mut self) {
        self.handled = 0;
    }

    pub(super) fn handle(
        &mut self,
        content_type: ContentType,
        payload: Vec<u8>,
        tickets: &mut Tickets,
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        match content_type {
            ContentType::HANDSHAKE => self.handshake(&payload, tickets, rx, socket),
            ContentType::ALERT => {
                self.check_not_interleaved()?;
                self.alert(&payload, rx.version())
            }
            other if self.deliver_records => {
                self.check_not_interleaved()?;
                self.keep(other, payload);
                Ok(Action::None)
            }
            other => Err(PeerMisbehaved::UnexpectedContentType(other).into()),
        }
    }

    fn alert(&mut self, payload: &[u8], version: ProtocolVersion) -> Result<Action, Error> {
        let &[level, description] = payload else {
            return Err(PeerMisbehaved::Malformed.into());
        };
        let description = AlertDescription(description);
        let warning = match version {
            // RFC 8446 section 6: the level is not looked at; user_canceled announces the
            // close_notify that follows.
            ProtocolVersion::Tls13 => description == AlertDescription::USER_CANCELED,
            ProtocolVersion::Tls12 => level == AlertLevel::Warning.to_wire(),
        };
        if description == AlertDescription::CLOSE_NOTIFY {
            return Ok(Action::CloseNotify);
        }
        if !warning {
            return Err(Error::AlertReceived(description));
        }
        self.spend()?;
        Ok(Action::None)
    }

    fn handshake(
        &mut self,
        payload: &[u8],
        tickets: &mut Tickets,
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        let mut messages = self.take_partial();
        messages.extend_from_slice(payload);
        let mut rest = &messages[..];
        let mut action = Action::None;
        while let Some((kind, len)) = next_message(rest)? {
            let (message, behind) = rest.split_at(HEADER_LEN + len);
            rest = behind;
            let is_last = rest.is_empty();
            let message = Message {
                kind,
                body: &message[HEADER_LEN..],
                is_last,
            };
            let done = self.message(&message, tickets, rx, socket)?;
            if !matches!(done, Action::None) {
                action = done;
            }
        }
        let handled = messages.len() - rest.len();
        messages.drain(..handled);
        // What is left keeps its place: a message that comes byte by byte is not copied for each.
        if !messages.is_empty() {
            self.held = Some(Box::new(Held::Message(messages)));
        }
        Ok(action)
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        tickets: &mut Tickets,
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        let kind = message.kind;
        let is_ticket = rx.version() == ProtocolVersion::Tls13 && kind == NEW_SESSION_TICKET;
        if is_ticket && tickets.is_client() {
            self.ticket(message.body, tickets)?;
            return Ok(Action::None);
        }
        self.spend()?;
        match (rx.version(), kind) {
            (ProtocolVersion::Tls13, KEY_UPDATE) => self.key_update(message, rx, socket),
            (ProtocolVersion::Tls12, HELLO_REQUEST) if tickets.is_client() => {
                Ok(Action::Warn(AlertDescription::NO_RENEGOTIATION))
            }
            (ProtocolVersion::Tls12, CLIENT_HELLO) if !tickets.is_client() => {
                Ok(Action::Warn(AlertDescription::NO_RENEGOTIATION))
            }
            _ => Err(PeerMisbehaved::UnexpectedHandshakeMessage(kind).into()),
        }
    }

    /// Stores a ticket, unless those before it hold all the memory that they may.
    fn ticket(&mut self, body: &[u8], tickets: &mut Tickets) -> Result<(), Error> {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        if let Some(left) = self.ticket_bytes.checked_sub(len) {
            self.ticket_bytes = left;
            tickets.take(body)?;
        }
        Ok(())
    }

    /// RFC 8446 section 4.6.3: the next record comes under the next key, so nothing may follow in
    /// this one.
    fn key_update(
        &self,
        message: &Message<'_>,
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        let &[request] = message.body else {
            return Err(PeerMisbehaved::Malformed.into());
        };
        if !message.is_last {
            return Err(PeerMisbehaved::InterleavedHandshake.into());
        }
        rx.update_key(socket)?;
        match request {
            0 => Ok(Action::None),
            1 => Ok(Action::AnswerKeyUpdate),
            other => Err(PeerMisbehaved::InvalidKeyUpdateRequest(other).into()),
        }
    }

    /// Whether the last message came whole.
    pub(super) fn is_between_messages(&self) -> bool {
        !matches!(self.held.as_deref(), Some(Held::Message(_)))
    }

    fn take_partial(&mut self) -> Vec<u8> {
        match self.held.take_if(|held| matches!(**held, Held::Message(_))) {
            Some(held) => match *held {
                Held::Message(bytes) => bytes,
                Held::Record(..) => Vec::new(),
            },
            None => Vec::new(),
        }
    }

    fn check_not_interleaved(&self) -> Result<(), Error> {
        match self.is_between_messages() {
            true => Ok(()),
            false => Err(PeerMisbehaved::InterleavedHandshake.into()),
        }
    }

    fn spend(&mut self) -> Result<(), Error> {
        match self.allowance.checked_sub(1) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => Err(PeerMisbehaved::TooManyControlMessages.into()),
        }
    }
}

/// A whole handshake message.
struct Message<'a> {
    kind: u8,
    body: &'a [u8],
    /// Whether nothing lies behind it yet.
    is_last: bool,
}

/// Type and length of the first of `messages`, if it is complete.
fn next_message(messages: &[u8]) -> Result<Option<(u8, usize)>, Error> {
    let Some(&[kind, a, b, c]) = messages.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    if len > MAX_MESSAGE {
        return Err(PeerMisbehaved::HandshakeMessageTooLong(len).into());
    }
    Ok((messages.len() >= HEADER_LEN + len).then_some((kind, len)))
}

#[cfg(test)]
mod tests {
    use underseal_record::{Algorithm, Opener, SeqNo, TrafficKeys};

    use super::*;
    use crate::engine::user;

    fn receive() -> Receive {
        let (version, algorithm) = (ProtocolVersion::Tls13, Algorithm::Aes128Gcm);
        let keys = TrafficKeys::new(version, algorithm, &[0; 16], [0; 12], SeqNo(0));
        let opener = Opener::new(keys.expect("a key of this length"));
        Receive::User(user::Receive::new(opener, None, &[], &[]))
    }

    #[test]
    fn a_message_that_comes_byte_by_byte_is_not_copied_for_each() {
        let (mut control, mut rx) = (Control::default(), receive());
        let (mut moves, mut place) = (0, 0);
        let front = [NEW_SESSION_TICKET, 0, 0xff, 0xff];
        for byte in front.into_iter().chain([0; 0xffff - 1]) {
            let handled = control.handle(
                ContentType::HANDSHAKE,
                vec![byte],
                &mut Tickets::Refused,
                &mut rx,
                None,
            );
            assert!(matches!(handled, Ok(Action::None)));
            let now = match control.held.as_deref() {
                Some(Held::Message(bytes)) => bytes.as_ptr().addr(),
                _ => 0,
            };
            moves += u32::from(now != place);
            place = now;
        }
        assert!(moves < 20, "{moves} copies of all");
        let last = control.handle(
            ContentType::HANDSHAKE,
            vec![0],
            &mut Tickets::Refused,
            &mut rx,
            None,
        );
        assert!(matches!(last, Ok(Action::None)));
        assert!(control.held.is_none(), "nothing is kept");
    }

    #[test]
    fn who_was_sent_most_may_ask_for_more_when_it_sends_again() {
        let mut control = Control {
            allowance: u32::MAX,
            ..Control::default()
        };
        assert!(control.data(1).is_ok());
        assert_eq!(control.allowance, u32::MAX);
    }
}
