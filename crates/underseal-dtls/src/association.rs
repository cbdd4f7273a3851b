//! One association, without its socket: what is sealed, what is opened, and what a record makes of
//! it. Each direction has a lock of its own, so that sending waits for no receiver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underseal_record::dtls::{Discard, Opener, Sealer};
use underseal_record::{AlertDescription, ContentType};
use underseal_sys::udp::{MAX_TRAIN, MAX_TRAIN_BYTES};

use crate::alert::{Alert, CLOSE_NOTIFY};
use crate::counters::Tally;
use crate::{ConnectionIds, Counters, Error, Parts};

/// The type of a Finished message (RFC 5246 section 7.4).
const FINISHED: u8 = 20;
/// Room for an alert under every protection.
const ALERT_ROOM: usize = 128;

#[derive(Debug)]
pub(crate) struct Association {
    transmit: Mutex<Transmit>,
    receive: Mutex<Receive>,
    /// Its own, or that of all associations behind one socket.
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Transmit {
    sealer: Sealer,
    is_closed: bool,
}

#[derive(Debug)]
struct Receive {
    opener: Opener,
    /// The handshake's last flight, while the peer may lack it.
    flight: Vec<Vec<u8>>,
    /// Datagrams that were opened, and not read yet.
    held: VecDeque<Vec<u8>>,
    end: Option<End>,
}

/// Sealed datagrams of one size, the last one excepted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SealedTrain {
    /// Bytes of all of them, and of each.
    pub(crate) len: usize,
    pub(crate) segment: usize,
    /// How many they are.
    pub(crate) count: usize,
}

/// How the peer ended the association.
#[derive(Clone, Copy, Debug)]
enum End {
    CloseNotify,
    Alert(AlertDescription),
    IntegrityLimit,
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        match end {
            End::CloseNotify => Self::ClosedByPeer,
            End::Alert(description) => Self::AlertReceived(description),
            End::IntegrityLimit => Self::IntegrityLimit,
        }
    }
}

impl Association {
    /// `flight` is what is sent again to a peer that repeats its Finished.
    pub(crate) fn new(parts: Parts, flight: Vec<Vec<u8>>) -> Self {
        Self::counted_by(Arc::default(), parts, ConnectionIds::default(), flight)
    }

    /// As [`new`](Self::new), with these connection IDs, counted by `tally`.
    pub(crate) fn counted_by(
        tally: Arc<Tally>,
        parts: Parts,
        ids: ConnectionIds,
        flight: Vec<Vec<u8>>,
    ) -> Self {
        let (mut sealer, mut opener) = parts.into_engines();
        sealer.set_connection_id(ids.send);
        opener.set_connection_id(ids.receive);
        Self {
            transmit: Mutex::new(Transmit {
                sealer,
                is_closed: false,
            }),
            receive: Mutex::new(Receive {
                opener,
                flight,
                held: VecDeque::new(),
                end: None,
            }),
            tally,
        }
    }

    pub(crate) fn into_parts(self) -> Parts {
        let transmit = self.transmit.into_inner();
        let receive = self.receive.into_inner();
        Parts::of_engines(
            transmit.unwrap_or_else(PoisonError::into_inner).sealer,
            receive.unwrap_or_else(PoisonError::into_inner).opener,
        )
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read()
    }

    pub(crate) fn overhead(&self) -> usize {
        self.transmit().sealer.overhead()
    }

    pub(crate) fn wants_new_keys(&self) -> bool {
        self.transmit().sealer.wants_new_keys()
    }

    /// Seals `payload` into the front of `out`; returns the bytes of the datagram.
    pub(crate) fn seal(&self, payload: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let mut transmit = self.open_transmit()?;
        let sealed = transmit
            .sealer
            .seal(ContentType::APPLICATION_DATA, payload, out)?;
        self.tally.sealed.one();
        Ok(sealed)
    }

    /// Seals as many of `payloads` as make one train: all as long as the first, but the last one,
    /// which may be shorter. A payload that cannot be sealed ends it, or is the error.
    pub(crate) fn seal_train(
        &self,
        payloads: &[impl AsRef<[u8]>],
        out: &mut [u8],
    ) -> Result<SealedTrain, Error> {
        let mut transmit = self.open_transmit()?;
        let mut train = SealedTrain::default();
        for payload in payloads.iter().take(MAX_TRAIN) {
            let (payload, overhead) = (payload.as_ref(), transmit.sealer.overhead());
            let is_longer = payload.len() + overhead > train.segment;
            let is_too_much = train.len + payload.len() + overhead > MAX_TRAIN_BYTES;
            // What is too long for any datagram is the socket's to refuse.
            if train.count > 0 && (is_longer || is_too_much) {
                break;
            }
            let data = ContentType::APPLICATION_DATA;
            let sealed = match transmit.sealer.seal(data, payload, &mut out[train.len..]) {
                Ok(sealed) => sealed,
                Err(_) if train.count > 0 => break,
                Err(error) => return Err(error.into()),
            };
            self.tally.sealed.one();
            train.segment = train.segment.max(sealed);
            train.len += sealed;
            train.count += 1;
            if sealed < train.segment {
                break;
            }
        }
        Ok(train)
    }

    /// Closes the sending direction: gives the close_notify to `send`, once.
    pub(crate) fn close(&self, send: &mut dyn FnMut(&[u8])) {
        let mut transmit = self.transmit();
        if transmit.is_closed {
            return;
        }
        transmit.is_closed = true;
        let mut datagram = [0; ALERT_ROOM];
        let sealer = &mut transmit.sealer;
        // A key that may seal nothing more has no alert left either: the peer finds out by silence.
        if let Ok(len) = sealer.seal(ContentType::ALERT, &CLOSE_NOTIFY, &mut datagram) {
            self.tally.sealed.one();
            send(&datagram[..len]);
        }
    }

    /// What there is for a reader without another datagram: a payload that was opened with an
    /// earlier one, copied to `buffer` as far as it fits, or the end.
    pub(crate) fn ready(&self, buffer: &mut [u8]) -> Option<Result<usize, Error>> {
        let mut receive = self.receive();
        if let Some(payload) = receive.held.pop_front() {
            return Some(Ok(copy(&payload, buffer)));
        }
        receive.end.map(|end| Err(end.into()))
    }

    /// The end that the peer has made of it, or that forgers have.
    #[cfg(all(feature = "openssl", feature = "tokio"))]
    pub(crate) fn ended(&self) -> Option<Error> {
        self.receive().end.map(Into::into)
    }

    /// Whether this side sends no more.
    #[cfg(all(feature = "openssl", feature = "tokio"))]
    pub(crate) fn is_closed(&self) -> bool {
        self.transmit().is_closed
    }

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
        self.open(train, segment, send, |payload, _, held| match copied {
            None => copied = Some(copy(payload, buffer)),
            Some(_) => held.push_back(payload.to_vec()),
        });
        copied
    }

    /// Opens every record of `train` and gives each payload to `deliver`, with the place where it
    /// starts in the train. `send` takes what is due in answer to authentic records; forged ones have
    /// none.
    pub(crate) fn open(
        &self,
        train: &mut [u8],
        segment: usize,
        send: &mut dyn FnMut(&[u8]),
        mut deliver: impl FnMut(&[u8], usize, &mut VecDeque<Vec<u8>>),
    ) {
        let mut receive = self.receive();
        for (index, datagram) in train.chunks_mut(segment.max(1)).enumerate() {
            let mut at = 0;
            while at < datagram.len() && receive.end.is_none() {
                let taken = receive.opener.open(&mut datagram[at..]);
                match taken.opened {
                    Ok(opened) => {
                        let plaintext = at + opened.plaintext.start..at + opened.plaintext.end;
                        let (start, body) = (plaintext.start, &datagram[plaintext]);
                        self.tally.opened.one();
                        match opened.content_type {
                            ContentType::APPLICATION_DATA => {
                                // Whoever sends data has finished the handshake.
                                receive.flight = Vec::new();
                                deliver(body, index * segment + start, &mut receive.held);
                            }
                            other => self.control(&mut receive, other, body, send),
                        }
                    }
                    Err(reason) => self.dropped(&mut receive, reason),
                }
                at += taken.len;
            }
        }
    }

    fn dropped(&self, receive: &mut Receive, reason: Discard) {
        self.tally.dropped(reason);
        if receive.opener.is_exhausted() {
            receive.end = Some(End::IntegrityLimit);
        }
    }

    /// What an authentic record that is no data does.
    fn control(
        &self,
        receive: &mut Receive,
        content_type: ContentType,
        body: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) {
        match content_type {
            ContentType::ALERT => match Alert::parse(body) {
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
            },
            ContentType::HANDSHAKE if body.first() == Some(&FINISHED) => {
                if receive.flight.is_empty() {
                    return;
                }
                self.tally.flights_resent.one();
                receive.flight.iter().for_each(|datagram| send(datagram));
            }
            // Renegotiation is refused by silence (RFC 5246 sections 7.4.1.1 and 7.4.1.2).
            _ => {}
        }
    }

    /// The sending direction, unless it is closed.
    fn open_transmit(&self) -> Result<MutexGuard<'_, Transmit>, Error> {
        let transmit = self.transmit();
        match transmit.is_closed {
            true => Err(Error::Closed),
            false => Ok(transmit),
        }
    }

    fn transmit(&self) -> MutexGuard<'_, Transmit> {
        self.transmit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self) -> MutexGuard<'_, Receive> {
        self.receive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies as much as fits: what is left of a datagram is lost, as with every UDP socket.
pub(crate) fn copy(payload: &[u8], buffer: &mut [u8]) -> usize {
    let len = payload.len().min(buffer.len());
    buffer[..len].copy_from_slice(&payload[..len]);
    len
}
