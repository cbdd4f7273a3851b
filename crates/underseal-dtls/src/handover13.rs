//! From a finished handshake of DTLS 1.3 to an association, whichever library made it: from the secrets
//! that it logged, and the datagrams that were seen. Its record numbers are encrypted, so that what was
//! sent has to be opened, too.

use std::ops::Range;

use underseal_record::dtls::{
    Discard, EpochSecret, KeyUpdates, Opened, Opener, RecordNumber, ReplayWindow, Sealer,
    has_unified_header, message_parts, messages,
};
use underseal_record::{Algorithm, ContentType};
use zeroize::Zeroizing;

use crate::Error;
use crate::handshake_io::{Arrived, Seen};
use crate::parts::{Course, Engines};
use crate::post_handshake::{Flight, Unsettled};
use crate::refusal::Refusal;

/// The epoch of a handshake's own keys, and that of the first data (RFC 9147 section 6.1).
const HANDSHAKE: u16 = 2;
const APPLICATION: u16 = EpochSecret::FIRST_APPLICATION_EPOCH;

/// The type of the message that ends a handshake (RFC 8446 section 4.4.4).
const FINISHED: u8 = 20;

/// Traffic secrets of one direction.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) handshake: Zeroizing<Vec<u8>>,
    pub(crate) application: Zeroizing<Vec<u8>>,
}

impl Secrets {
    fn handshake(&self, algorithm: Algorithm) -> Result<EpochSecret, Error> {
        Ok(EpochSecret::new(algorithm, &self.handshake, HANDSHAKE)?)
    }

    fn application(&self, algorithm: Algorithm) -> Result<EpochSecret, Error> {
        Ok(EpochSecret::new(algorithm, &self.application, APPLICATION)?)
    }
}

/// What a handshake left.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) engines: Engines,
    /// What the peer may lack.
    pub(crate) flight: Flight,
    /// Datagrams whose records the library did not open: for the association.
    pub(crate) early: Vec<Vec<u8>>,
    /// How many datagrams others have displaced, of which nobody can tell any more what they were.
    pub(crate) displaced: u64,
    /// Why others were dropped that nobody opens any more.
    pub(crate) dropped: Vec<Discard>,
    /// Datagrams whose records it did. Their data somebody has, or it is asked for the rest; what else is in them is for the
    /// association.
    pub(crate) late: Vec<Vec<u8>>,
}

/// Who may have received data through the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Nobody,
    Caller,
}

/// Takes a handshake apart in which this side `is_server` or not. The caller has dropped it: nobody else may seal in
/// its epochs.
pub(crate) fn take_apart(
    algorithm: Algorithm,
    own: &Secrets,
    peers: &Secrets,
    is_server: bool,
    seen: &Seen,
    reader: Reader,
) -> Result<HandedOver, Error> {
    // What was read and not kept cannot be marked, and might be received a second time.
    let is_known = seen.has_all_received() || reader == Reader::Nobody;
    if !seen.has_all_sent() || !is_known {
        return Err(Refusal::TooMuchReceived.into());
    }
    let sent = Sent::read(algorithm, own, seen)?;
    let received = Received::read(algorithm, peers, seen)?;
    if !received.is_whole {
        return Err(Refusal::TooMuchReceived.into());
    }
    let secret = own.application(algorithm)?;
    let mut keys = secret.keys();
    keys.skip_to(sent.next_seq(APPLICATION))?;
    let key_updates = KeyUpdates::new(
        secret,
        peers.application(algorithm)?,
        sent.next_message(),
        received.next_message,
    );
    let flight = sent.unacknowledged(algorithm, own, is_server)?;
    let opened_from = match (reader, is_server) {
        (Reader::Nobody, _) => seen.received.len(),
        (Reader::Caller, true) => received.completed_by,
        (Reader::Caller, false) => sent.completed_by(seen),
    };
    let (early, late) = received.unopened(seen, opened_from);
    let dropped = received.dropped;
    Ok(HandedOver {
        engines: Engines {
            sealer: Sealer::new(keys),
            opener: received.opener,
            key_updates: Some(key_updates),
            unsettled: Unsettled::default(),
            flight: Vec::new(),
            course: Course::default(),
        },
        flight,
        displaced: seen.displaced(),
        dropped,
        early,
        late,
    })
}

/// The records under keys that were sent, in their order.
struct Sent {
    records: Vec<(RecordNumber, ContentType, Vec<u8>)>,
    /// How many datagrams there were when the message had gone out that ends the handshake.
    until_finished: Option<usize>,
}

impl Sent {
    fn read(algorithm: Algorithm, own: &Secrets, seen: &Seen) -> Result<Self, Error> {
        let keys = own.handshake(algorithm)?.keys();
        let mut opener = Opener::new(keys, ReplayWindow::default());
        opener.advance(own.application(algorithm)?.keys())?;
        let (mut records, mut until_finished) = (Vec::new(), None);
        for (index, datagram) in seen.sent.iter().enumerate() {
            each_record(&mut opener, datagram, |outcome, body| match outcome {
                Ok(opened) => {
                    if opened.content_type == ContentType::HANDSHAKE && has_finished(body) {
                        until_finished.get_or_insert(index + 1);
                    }
                    records.push((opened.number, opened.content_type, body.to_vec()));
                    Ok(())
                }
                // What the socket did not take is sent as it was.
                Err(Discard::Replayed) => Ok(()),
                // Under keys that came after these.
                Err(_) => Err(Refusal::Renegotiated),
            })?;
        }
        Ok(Self {
            records,
            until_finished,
        })
    }

    /// The place of the datagram that a client has answered with its Finished: it had the end of the server's flight, and the
    /// client opens data from then on.
    fn completed_by(&self, seen: &Seen) -> usize {
        let is_before = |arrived: &Arrived| match self.until_finished {
            Some(until) => arrived.sent_before < until,
            None => true,
        };
        let before = seen.received.iter().take_while(|one| is_before(one));
        before.count().saturating_sub(1)
    }

    /// The number behind the last one used in `epoch`.
    fn next_seq(&self, epoch: u16) -> u64 {
        let numbers = self.records.iter().map(|(number, ..)| number);
        let used = numbers.filter(|number| number.epoch == epoch);
        used.map(|number| number.seq + 1).max().unwrap_or(0)
    }

    /// The number behind that of the last handshake message.
    fn next_message(&self) -> u16 {
        let messages = self.messages().flat_map(|(_, body)| messages(body));
        messages
            .map(|(_, number)| number.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    /// What the peer may lack: a client's last flight, a server's tickets.
    fn unacknowledged(
        &self,
        algorithm: Algorithm,
        own: &Secrets,
        is_server: bool,
    ) -> Result<Flight, Error> {
        if is_server {
            // A client's Finished says that it has the server's.
            return Ok(self.flight(APPLICATION, None));
        }
        let mut keys = own.handshake(algorithm)?.keys();
        keys.skip_to(self.next_seq(HANDSHAKE))?;
        Ok(self.flight(HANDSHAKE, Some(Sealer::new(keys))))
    }

    /// Messages that were sent in `epoch`, for repeating them.
    fn flight(&self, epoch: u16, sealer: Option<Sealer>) -> Flight {
        let mut flight = Flight::new(sealer);
        for (number, body) in self.messages() {
            if number.epoch == epoch {
                flight.sent(number, body);
            }
        }
        flight
    }

    fn messages(&self) -> impl Iterator<Item = (RecordNumber, &[u8])> {
        let is_message = |record: &&(_, ContentType, _)| record.1 == ContentType::HANDSHAKE;
        let messages = self.records.iter().filter(is_message);
        messages.map(|(number, _, body)| (*number, &body[..]))
    }
}

/// What was received under keys.
struct Received {
    /// In the first epoch with data, and the handshake's before it; what came in that is marked.
    opener: Opener,
    next_message: u16,
    /// Whether the message that ends the handshake is among it: what others have sent in the peer's name may have taken
    /// the place of earlier ones, of which nothing has to be known.
    is_whole: bool,
    /// The place of the last datagram that had something new of the handshake. Where all is kept, a server has then opened
    /// the whole flight, in whatever order it came, and opens data from then on.
    completed_by: usize,
    /// The places of datagrams with other records than those of the handshake.
    others: Vec<usize>,
    /// Why records of the other datagrams were dropped.
    dropped: Vec<Discard>,
}

impl Received {
    fn read(algorithm: Algorithm, peers: &Secrets, seen: &Seen) -> Result<Self, Error> {
        let keys = peers.handshake(algorithm)?.keys();
        let mut received = Self {
            opener: Opener::new(keys, ReplayWindow::default()),
            next_message: 0,
            is_whole: false,
            completed_by: 0,
            others: Vec::new(),
            dropped: Vec::new(),
        };
        let mut coverage = Coverage::default();
        for (place, arrived) in seen.received.iter().enumerate() {
            received.read_datagram(place, &arrived.datagram, &mut coverage)?;
        }
        let keys = peers.application(algorithm)?.keys();
        received.opener.advance(keys)?;
        Ok(received)
    }

    fn read_datagram(
        &mut self,
        place: usize,
        datagram: &[u8],
        coverage: &mut Coverage,
    ) -> Result<(), Refusal> {
        let (mut is_new, mut has_others, mut dropped) = (false, false, Vec::new());
        each_record(&mut self.opener, datagram, |outcome, body| {
            match outcome {
                Ok(opened) if opened.content_type == ContentType::HANDSHAKE => {
                    for (number, bytes) in message_parts(body) {
                        self.next_message = self.next_message.max(number.saturating_add(1));
                        is_new |= coverage.add(number, bytes);
                    }
                    self.is_whole |= has_finished(body);
                }
                // ACKs and alerts of the handshake: the library has had them.
                Ok(_) => {}
                Err(reason @ (Discard::Replayed | Discard::Forged)) => dropped.push(reason),
                Err(_) => has_others = true,
            }
            Ok(())
        })?;
        if is_new {
            self.completed_by = place;
        }
        // The association looks at all of such a datagram once more.
        match has_others {
            true => self.others.push(place),
            false => self.dropped.extend(dropped),
        }
        Ok(())
    }

    /// The datagrams with other records, those before the place `opened_from` and the others.
    fn unopened(&self, seen: &Seen, opened_from: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let others = |wanted: &dyn Fn(usize) -> bool| {
            let places = self.others.iter().filter(|place| wanted(**place));
            places
                .map(|place| seen.received[*place].datagram.clone())
                .collect()
        };
        let early = others(&|place| place < opened_from);
        (early, others(&|place| place >= opened_from))
    }
}

/// Which parts of the messages of a handshake have come.
#[derive(Default)]
struct Coverage(Vec<(u16, Range<usize>)>);

impl Coverage {
    /// Whether `bytes` of the message have not all come before.
    fn add(&mut self, message: u16, bytes: Range<usize>) -> bool {
        // An empty message has a place, too.
        let bytes = bytes.start..bytes.end.max(bytes.start + 1);
        let mut known_until = bytes.start;
        while known_until < bytes.end
            && let Some(end) = self.known_at(message, known_until)
        {
            known_until = end;
        }
        let is_new = known_until < bytes.end;
        self.0.push((message, bytes));
        is_new
    }

    /// Until where what has come of the message goes on from `at`, if that has come.
    fn known_at(&self, message: u16, at: usize) -> Option<usize> {
        let known = self.0.iter();
        let at_it = known.filter(|(number, known)| *number == message && known.contains(&at));
        at_it.map(|(_, known)| known.end).max()
    }
}

/// Whether a message among these ends a handshake.
fn has_finished(body: &[u8]) -> bool {
    messages(body).any(|(message_type, _)| message_type == FINISHED)
}

/// Opens the records of a datagram that are under keys.
fn each_record(
    opener: &mut Opener,
    datagram: &[u8],
    mut take: impl FnMut(Result<&Opened, Discard>, &[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut copy = datagram.to_vec();
    let mut rest = &mut copy[..];
    while !rest.is_empty() {
        let is_protected = has_unified_header(rest);
        let taken = opener.open(rest);
        let (record, after) = std::mem::take(&mut rest).split_at_mut(taken.len);
        match &taken.opened {
            Ok(opened) => take(Ok(opened), &record[opened.plaintext.clone()])?,
            Err(reason) if is_protected => take(Err(*reason), &[])?,
            Err(_) => {}
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod tests;
