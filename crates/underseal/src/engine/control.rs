//! What the peer says besides data: alerts, tickets, key updates, records of other types.

use std::os::fd::BorrowedFd;

use underseal_record::{AlertDescription, AlertLevel, ContentType, ProtocolVersion};

use super::receive::Receive;
use crate::handshake::Tickets;
use crate::{Error, PeerMisbehaved};

/// Handshake messages of RFC 8446 section 4 (and, the first two, of RFC 5246 section 7.4) that can
/// come after the handshake.
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
pub(super) const KEY_UPDATE: u8 = 24;

/// Control messages that may come with no data between them. Each record of data earns one back,
/// up to this many: a peer that updates its key once per record is slow but legal, one that does
/// nothing else is not.
const ALLOWANCE: u8 = 32;

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
    /// Handshake bytes of a message that is not complete.
    partial: Vec<u8>,
    allowance: u8,
    /// Whether records of other types are delivered instead of refused.
    pub(crate) deliver_records: bool,
    /// A record of another type, to be read with `read_record`.
    pub(super) pending: Option<Box<(ContentType, Vec<u8>)>>,
    /// Something is sealed or to be sealed in answer to what was received.
    pub(super) answer_due: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            partial: Vec::new(),
            allowance: ALLOWANCE,
            deliver_records: false,
            pending: None,
            answer_due: false,
        }
    }
}

impl Control {
    /// Whether a part of a message, or a record, would be lost if the connection were taken apart.
    pub(crate) fn holds_anything(&self) -> bool {
        !self.partial.is_empty() || self.pending.is_some()
    }

    /// Notes a data record of `len` bytes.
    pub(super) fn data(&mut self, len: usize) -> Result<(), Error> {
        self.check_not_interleaved()?;
        if len > 0 {
            self.allowance = ALLOWANCE.min(self.allowance + 1);
        }
        Ok(())
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
                self.pending = Some(Box::new((other, payload)));
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
        self.partial.extend_from_slice(payload);
        let mut action = Action::None;
        while let Some((kind, len)) = self.next_message()? {
            self.spend()?;
            let whole = std::mem::take(&mut self.partial);
            let (message, rest) = whole.split_at(HEADER_LEN + len);
            self.partial = rest.to_vec();
            let done = self.message(kind, &message[HEADER_LEN..], tickets, rx, socket)?;
            if !matches!(done, Action::None) {
                action = done;
            }
        }
        Ok(action)
    }

    /// Type and length of the first message in `partial`, if it is complete.
    fn next_message(&self) -> Result<Option<(u8, usize)>, Error> {
        let Some(&[kind, a, b, c]) = self.partial.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        if len > MAX_MESSAGE {
            return Err(PeerMisbehaved::HandshakeMessageTooLong(len).into());
        }
        Ok((self.partial.len() >= HEADER_LEN + len).then_some((kind, len)))
    }

    fn message(
        &mut self,
        kind: u8,
        body: &[u8],
        tickets: &mut Tickets,
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        match (rx.version(), kind) {
            (ProtocolVersion::Tls13, KEY_UPDATE) => self.key_update(body, rx, socket),
            (ProtocolVersion::Tls13, NEW_SESSION_TICKET) if tickets.is_client() => {
                tickets.take(body)?;
                Ok(Action::None)
            }
            (ProtocolVersion::Tls12, HELLO_REQUEST) if tickets.is_client() => {
                Ok(Action::Warn(AlertDescription::NO_RENEGOTIATION))
            }
            (ProtocolVersion::Tls12, CLIENT_HELLO) if !tickets.is_client() => {
                Ok(Action::Warn(AlertDescription::NO_RENEGOTIATION))
            }
            _ => Err(PeerMisbehaved::UnexpectedHandshakeMessage(kind).into()),
        }
    }

    /// RFC 8446 section 4.6.3: the next record comes under the next key, so nothing may follow in
    /// this one.
    fn key_update(
        &mut self,
        body: &[u8],
        rx: &mut Receive,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<Action, Error> {
        let &[request] = body else {
            return Err(PeerMisbehaved::Malformed.into());
        };
        self.check_not_interleaved()?;
        rx.update_key(socket)?;
        match request {
            0 => Ok(Action::None),
            1 => Ok(Action::AnswerKeyUpdate),
            other => Err(PeerMisbehaved::InvalidKeyUpdateRequest(other).into()),
        }
    }

    fn check_not_interleaved(&self) -> Result<(), Error> {
        if self.partial.is_empty() {
            Ok(())
        } else {
            Err(PeerMisbehaved::InterleavedHandshake.into())
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
