//! What is opened, and what it makes of the association.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use underseal_message::Denied;
use underseal_record::dtls::{Discard, EpochSecret, Opened, RecordNumber};
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
            while at < datagram.len() && receive.end.is_none() {
                let newest = receive.opener.newest();
                let taken = receive.opener.open(&mut datagram[at..]);
                match taken.opened {
                    Ok(opened) => {
                        let plaintext = at + opened.plaintext.start..at + opened.plaintext.end;
                        let start = index * segment + plaintext.start;
                        let body = &datagram[plaintext];
                        self.tally.opened.one();
                        match opened.content_type {
                            ContentType::APPLICATION_DATA if receive.takes_data(&opened) => {
                                // Whoever sends data has finished the handshake.
                                receive.flight = Vec::new();
                                let Some(judged) = self.judge(&mut receive, body) else {
                                    at += taken.len;
                                    continue;
                                };
                                let is_changed = matches!(judged, Cow::Owned(_));
                                let delivered = Delivered {
                                    payload: &judged,
                                    start: (!is_changed).then_some(start),
                                    is_newest: Some(opened.number) > newest,
                                };
                                deliver(delivered, &mut receive.held);
                            }
                            ContentType::APPLICATION_DATA => {
                                self.dropped(&mut receive, Discard::Malformed, send);
                            }
                            _ => self.control(&mut receive, &opened, body, send),
                        }
                    }
                    Err(reason) => self.dropped(&mut receive, reason, send),
                }
                at += taken.len;
            }
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
        for payload in std::mem::take(&mut receive.held) {
            let judged = self.judge(receive, &payload).map(Cow::into_owned);
            let is_over = judged.is_none() && receive.program.has_ended();
            receive.held.extend(judged);
            if is_over {
                return;
            }
        }
    }

    /// What an authentic record that is no data does.
    fn control(
        &self,
        receive: &mut Receive,
        opened: &Opened,
        body: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) {
        match (opened.content_type, receive.version) {
            (ContentType::ALERT, version) => self.alert(receive, Alert::parse(body, version), send),
            (ContentType::HANDSHAKE, ProtocolVersion::Tls12) => self.repeat(receive, body, send),
            (ContentType::HANDSHAKE, ProtocolVersion::Tls13) => {
                self.handshake(receive, opened.number, body, send);
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
    fn takes_data(&self, opened: &Opened) -> bool {
        let first = EpochSecret::FIRST_APPLICATION_EPOCH;
        self.version == ProtocolVersion::Tls12 || opened.number.epoch >= first
    }
}
