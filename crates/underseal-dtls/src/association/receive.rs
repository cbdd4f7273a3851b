//! What is opened, and what it makes of the association.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use underseal_message::Denied;
#[cfg(feature = "openssl")]
use underseal_record::dtls::Opened;
use underseal_record::dtls::{Discard, EpochSecret, RecordNumber};
use underseal_record::{AlertDescription, ContentType, ProtocolVersion};

use super::{Association, End, Receive, copy};
use crate::alert::{Alert, fatal};

/// The type of a Finished message (RFC 5246 section 7.4).
const FINISHED: u8 = 20;

/// A payload that was opened.
pub(crate) struct Delivered<'d> {
    pub(crate) payload: &'d [u8],
    /// Where it starts in the train, unless a program has changed it.
    pub(crate) start: Option<usize>,
    /// Whether no record opened before it has a higher number.
    #[cfg_attr(
        not(all(feature = "openssl", feature = "tokio")),
        expect(dead_code, reason = "only a listener asks")
    )]
    pub(crate) is_newest: bool,
}

/// A record that was opened.
struct Authentic<'d> {
    content_type: ContentType,
    number: RecordNumber,
    body: &'d [u8],
    /// Where the body starts in its train, if it is in one.
    start: Option<usize>,
    is_newest: bool,
}

/// A record that came before the end of the handshake, and that nobody has had. The hand-over has opened it: its number is marked.
#[cfg(feature = "openssl")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EarlyRecord {
    content_type: ContentType,
    number: RecordNumber,
    body: Vec<u8>,
}

#[cfg(feature = "openssl")]
impl EarlyRecord {
    pub(crate) fn new(opened: &Opened, body: &[u8]) -> Self {
        Self {
            content_type: opened.content_type,
            number: opened.number,
            body: body.to_vec(),
        }
    }
}

impl Association {
    /// Opens every record of `train`, datagrams of `segment` bytes each. The first payload is copied
    /// to `buffer` as far as it fits, others are kept for [`ready`](Self::ready).
    pub(crate) fn take(
        &self,
        train: &mut [u8],
        segment: usize,
        buffer: &mut [u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Option<usize> {
        let mut copied = None;
        self.open(train, segment, send, |delivered, held| match copied {
            None => copied = Some(copy(delivered.payload, buffer)),
            Some(_) => held.push_back(delivered.payload.to_vec()),
        });
        copied
    }

    /// Opens every record of `train` and gives each payload to `deliver`. `send` takes what is due in answer to authentic records; forged ones have
    /// none.
    pub(crate) fn open(
        &self,
        train: &mut [u8],
        segment: usize,
        send: &mut dyn FnMut(&[u8]),
        mut deliver: impl FnMut(Delivered<'_>, &mut VecDeque<Vec<u8>>),
    ) {
        let mut receive = self.receive();
        for (index, datagram) in train.chunks_mut(segment.max(1)).enumerate() {
            let mut at = 0;
            while at < datagram.len() {
                if receive.end.is_some() {
                    self.tally.dropped(Discard::Ended);
                    break;
                }
                let newest = receive.opener.newest();
                let taken = receive.opener.open(&mut datagram[at..]);
                match taken.opened {
                    Ok(opened) => {
                        let plaintext = at + opened.plaintext.start..at + opened.plaintext.end;
                        let record = Authentic {
                            content_type: opened.content_type,
                            number: opened.number,
                            start: Some(index * segment + plaintext.start),
                            body: &datagram[plaintext],
                            is_newest: Some(opened.number) > newest,
                        };
                        self.opened(&mut receive, &record, send, &mut deliver);
                    }
                    Err(reason) => self.dropped(&mut receive, reason, send),
                }
                at += taken.len;
            }
        }
    }

    /// As [`open`](Self::open), with a record that was opened at the hand-over.
    #[cfg(feature = "openssl")]
    pub(crate) fn take_early(
        &self,
        early: &EarlyRecord,
        send: &mut dyn FnMut(&[u8]),
        mut deliver: impl FnMut(Delivered<'_>, &mut VecDeque<Vec<u8>>),
    ) {
        let mut receive = self.receive();
        if receive.end.is_some() {
            return self.tally.dropped(Discard::Ended);
        }
        let record = Authentic {
            content_type: early.content_type,
            number: early.number,
            start: None,
            body: &early.body,
            is_newest: Some(early.number) >= receive.opener.newest(),
        };
        self.opened(&mut receive, &record, send, &mut deliver);
    }

    /// What an authentic record does.
    #[inline]
    fn opened(
        &self,
        receive: &mut Receive,
        record: &Authentic<'_>,
        send: &mut dyn FnMut(&[u8]),
        deliver: &mut impl FnMut(Delivered<'_>, &mut VecDeque<Vec<u8>>),
    ) {
        self.tally.opened.one();
        match record.content_type {
            ContentType::APPLICATION_DATA if receive.takes_data(record.number) => {
                // Whoever sends data has finished the handshake.
                receive.flight = Vec::new();
                let Some(judged) = self.judge(receive, record.body) else {
                    return;
                };
                let is_changed = matches!(judged, Cow::Owned(_));
                let delivered = Delivered {
                    payload: &judged,
                    start: record.start.filter(|_| !is_changed),
                    is_newest: record.is_newest,
                };
                deliver(delivered, &mut receive.held);
            }
            ContentType::APPLICATION_DATA => self.dropped(receive, Discard::Malformed, send),
            _ => self.control(receive, record, send),
        }
    }

    fn dropped(&self, receive: &mut Receive, reason: Discard, send: &mut dyn FnMut(&[u8])) {
        self.tally.dropped(reason);
        if receive.opener.is_exhausted() {
            receive.end = Some(End::IntegrityLimit);
            self.close_with(fatal(AlertDescription::BAD_RECORD_MAC), send);
        }
    }

    /// The payload as the program on what is received leaves it; `None` where it drops it.
    fn judge<'d>(&self, receive: &mut Receive, payload: &'d [u8]) -> Option<Cow<'d, [u8]>> {
        match receive.program.judge(payload) {
            Ok(judged) => return Some(judged),
            Err(Denied::Dropped) => self.tally.refused.one(),
            Err(denied) => receive.end = Some(End::Denied(denied)),
        }
        None
    }

    /// Has the program on what is received judge what was opened without it. What comes behind a payload at
    /// which it ends is dropped, as it is when it is opened.
    pub(super) fn judge_held(&self, receive: &mut Receive) {
        let mut held = std::mem::take(&mut receive.held).into_iter();
        while let Some(payload) = held.next() {
            let judged = self.judge(receive, &payload).map(Cow::into_owned);
            let is_over = judged.is_none() && receive.program.has_ended();
            receive.held.extend(judged);
            if is_over {
                held.for_each(|_| self.tally.dropped(Discard::Ended));
                return;
            }
        }
    }

    /// What an authentic record that is no data does.
    fn control(&self, receive: &mut Receive, record: &Authentic<'_>, send: &mut dyn FnMut(&[u8])) {
        let body = record.body;
        match (record.content_type, receive.version) {
            (ContentType::ALERT, version) => self.alert(receive, Alert::parse(body, version), send),
            (ContentType::HANDSHAKE, ProtocolVersion::Tls12) => self.repeat(receive, body, send),
            (ContentType::HANDSHAKE, ProtocolVersion::Tls13) => {
                self.handshake(receive, record.number, body, send);
            }
            (ContentType::ACK, ProtocolVersion::Tls13) => self.acknowledged(receive, body, send),
            _ => self.dropped(receive, Discard::Malformed, send),
        }
    }

    fn alert(&self, receive: &mut Receive, alert: Alert, send: &mut dyn FnMut(&[u8])) {
        match alert {
            Alert::CloseNotify => {
                receive.end = Some(End::CloseNotify);
                // RFC 5246 section 7.2.1: the other side is to close in answer.
                self.close(send);
            }
            Alert::Fatal(description) => {
                receive.end = Some(End::Alert(description));
                self.transmit().is_closed = true;
            }
            Alert::Ignored => {}
        }
    }

    /// Sends the last flight of DTLS 1.2 again to a peer that repeats its Finished. Renegotiation is refused
    /// by silence (RFC 5246 sections 7.4.1.1 and 7.4.1.2).
    fn repeat(&self, receive: &Receive, body: &[u8], send: &mut dyn FnMut(&[u8])) {
        if body.first() != Some(&FINISHED) || receive.flight.is_empty() {
            return;
        }
        self.tally.flights_resent.one();
        receive.flight.iter().for_each(|datagram| send(datagram));
    }

    /// Takes messages of DTLS 1.3, and acknowledges them.
    fn handshake(
        &self,
        receive: &mut Receive,
        number: RecordNumber,
        body: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) {
        let Some(mut post_handshake) = self.post_handshake() else {
            return;
        };
        let taken = post_handshake.received(body, number, &mut receive.opener, Instant::now());
        let ack = match taken {
            Ok(Some(ack)) => ack,
            Ok(None) => return,
            Err(error) => return self.misbehaved(receive, error, send),
        };
        let mut transmit = self.transmit();
        if transmit.is_closed {
            return;
        }
        let send = &mut self.counted(send);
        let mut out = self.out(&mut transmit.sealer, send);
        out.record(ContentType::ACK, &ack);
        // Where no key follows this one, sealing says so when the time has come.
        let _ = post_handshake.proceed(&mut out);
    }

    fn acknowledged(&self, receive: &mut Receive, body: &[u8], send: &mut dyn FnMut(&[u8])) {
        let Some(mut post_handshake) = self.post_handshake() else {
            return;
        };
        let mut transmit = self.transmit();
        if transmit.is_closed {
            return;
        }
        let taken = {
            let counted = &mut self.counted(&mut *send);
            post_handshake.acknowledged(body, &mut self.out(&mut transmit.sealer, counted))
        };
        drop(transmit);
        if let Err(error) = taken {
            self.misbehaved(receive, error, send);
        }
    }

    /// Ends the association, and tells the peer why.
    fn misbehaved(
        &self,
        receive: &mut Receive,
        error: underseal_record::Error,
        send: &mut dyn FnMut(&[u8]),
    ) {
        receive.end = Some(End::Misbehaved(error));
        let description = error.alert();
        let description = description.unwrap_or(AlertDescription::INTERNAL_ERROR);
        self.close_with(fatal(description), send);
    }
}

impl Receive {
    /// Whether a record's epoch may have data: that of a handshake may not (RFC 9147 section 6.1).
    fn takes_data(&self, number: RecordNumber) -> bool {
        let first = EpochSecret::FIRST_APPLICATION_EPOCH;
        self.version == ProtocolVersion::Tls12 || number.epoch >= first
    }
}
