//! From a finished handshake of DTLS 1.3 to an association, whichever library made it: from the secrets
//! that it logged, and the datagrams that were seen. Its record numbers are encrypted, so that what was
//! sent has to be opened, too.

use underseal_record::dtls::{
    Discard, EpochSecret, KeyUpdates, Opened, Opener, RecordNumber, ReplayWindow, Sealer,
    has_unified_header, messages,
};
use underseal_record::{Algorithm, ContentType};
use zeroize::Zeroizing;

use crate::Error;
use crate::handshake_io::Seen;
use crate::parts::Engines;
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
    /// Datagrams that came before their time: for the association.
    pub(crate) early: Vec<Vec<u8>>,
    /// Datagrams that came when the handshake was over. Whoever read them from the library has their data; what else is in
    /// them is for the association.
    pub(crate) late: Vec<Vec<u8>>,
}

/// Takes a handshake apart in which this side `is_server` or not. The caller has dropped it: nobody else may seal in
/// its epochs.
pub(crate) fn take_apart(
    algorithm: Algorithm,
    own: &Secrets,
    peers: &Secrets,
    is_server: bool,
    seen: &Seen,
) -> Result<HandedOver, Error> {
    if !seen.has_all_sent() {
        return Err(Refusal::TooMuchReceived.into());
    }
    let sent = Sent::read(algorithm, own, seen)?;
    let received = Received::read(algorithm, peers, seen, &sent)?;
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
    let flight = match is_server {
        // A client's Finished says that it has the server's.
        true => sent.flight(APPLICATION, None),
        false => {
            let mut keys = own.handshake(algorithm)?.keys();
            keys.skip_to(sent.next_seq(HANDSHAKE))?;
            sent.flight(HANDSHAKE, Some(Sealer::new(keys)))
        }
    };
    Ok(HandedOver {
        engines: Engines {
            sealer: Sealer::new(keys),
            opener: received.opener,
            key_updates: Some(key_updates),
            unsettled: Unsettled::default(),
            flight: Vec::new(),
        },
        flight,
        early: received.early,
        late: received.late,
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
    early: Vec<Vec<u8>>,
    late: Vec<Vec<u8>>,
}

impl Received {
    fn read(
        algorithm: Algorithm,
        peers: &Secrets,
        seen: &Seen,
        sent: &Sent,
    ) -> Result<Self, Error> {
        let keys = peers.handshake(algorithm)?.keys();
        let mut opener = Opener::new(keys, ReplayWindow::default());
        let (mut next_message, mut is_whole) = (0, false);
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for arrived in &seen.received {
            let datagram = &arrived.datagram;
            // A side whose handshake is over receives no more of itself: somebody has read from it.
            let until = sent.until_finished;
            let is_over = is_whole && until.is_some_and(|until| arrived.sent_before >= until);
            let mut is_early = false;
            each_record(&mut opener, datagram, |outcome, body| {
                match outcome {
                    Ok(opened) if opened.content_type == ContentType::HANDSHAKE => {
                        for (_, number) in messages(body) {
                            next_message = next_message.max(number.saturating_add(1));
                        }
                        is_whole |= has_finished(body);
                    }
                    // No data of the handshake's epoch, and nothing that was not authentic.
                    Ok(_) | Err(Discard::Replayed | Discard::Forged) => {}
                    Err(_) => is_early = true,
                }
                Ok(())
            })?;
            match (is_early, is_over) {
                (true, false) => early.push(datagram.clone()),
                (true, true) => late.push(datagram.clone()),
                (false, _) => {}
            }
        }
        opener.advance(peers.application(algorithm)?.keys())?;
        Ok(Self {
            opener,
            next_message,
            is_whole,
            early,
            late,
        })
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
