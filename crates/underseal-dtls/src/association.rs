//! One association, without its socket: what is sealed, what is opened, and what a record makes of
//! it. Each direction has a lock of its own, so that sending waits for no receiver.
//!
//! Who takes several locks takes the receiving direction's first, then that of what goes on behind the
//! handshake, then the sending direction's.

mod receive;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use underseal_message::{Denied, Filter, MessageDirection, Peer, Program};
use underseal_record::dtls::{Opener, Sealer};
use underseal_record::{AlertDescription, ContentType, ProtocolVersion};
use underseal_sys::udp::{MAX_TRAIN, MAX_TRAIN_BYTES};

use crate::alert::CLOSE_NOTIFY;
use crate::counters::Tally;
use crate::parts::{Course, Engines};
use crate::post_handshake::{Out, PostHandshake};
use crate::programs::Attached;
use crate::{ConnectionIds, Counters, Error, Parts};

pub(crate) use receive::Delivered;
#[cfg(feature = "openssl")]
pub(crate) use receive::EarlyRecord;

/// Room for an alert under every protection.
const ALERT_ROOM: usize = 128;
/// Records of a key that are not for data: without them no KeyUpdate is repeated, no message acknowledged and no
/// end told.
const RESERVED: u64 = 1 << 10;

#[derive(Debug)]
pub(crate) struct Association {
    transmit: Mutex<Transmit>,
    receive: Mutex<Receive>,
    /// Of DTLS 1.3, where its keys can be updated.
    post_handshake: Option<Box<Mutex<PostHandshake>>>,
    /// Its own, or that of all associations behind one socket.
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Transmit {
    sealer: Sealer,
    program: Attached,
    is_closed: bool,
}

#[derive(Debug)]
struct Receive {
    opener: Opener,
    program: Attached,
    version: ProtocolVersion,
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
pub(crate) enum End {
    CloseNotify,
    Alert(AlertDescription),
    /// By the program on what is received.
    Denied(Denied),
    /// By a message that may not be sent.
    Misbehaved(underseal_record::Error),
    IntegrityLimit,
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        match end {
            End::CloseNotify => Self::ClosedByPeer,
            End::Alert(description) => Self::AlertReceived(description),
            End::Denied(denied) => Self::Denied(denied),
            End::Misbehaved(error) => Self::Record(error),
            End::IntegrityLimit => Self::IntegrityLimit,
        }
    }
}

impl Association {
    /// `flight` is what is sent again to a peer that repeats its Finished.
    pub(crate) fn new(parts: Parts, flight: Vec<Vec<u8>>) -> Self {
        let (engines, ids) = (parts.into_engines(), ConnectionIds::default());
        Self::counted_by(Arc::default(), engines, ids, flight)
    }

    /// As [`new`](Self::new), with these connection IDs, counted by `tally`.
    pub(crate) fn counted_by(
        tally: Arc<Tally>,
        engines: Engines,
        ids: ConnectionIds,
        flight: Vec<Vec<u8>>,
    ) -> Self {
        let Engines {
            mut sealer,
            mut opener,
            key_updates,
            unsettled,
            flight: mut flights,
            course,
        } = engines;
        flights.extend(flight);
        let post_handshake = key_updates.map(|key_updates| {
            let mut post_handshake = PostHandshake::new(key_updates);
            post_handshake.settle(unsettled, Instant::now());
            post_handshake
        });
        sealer.set_connection_id(ids.send);
        opener.set_connection_id(ids.receive);
        Self {
            transmit: Mutex::new(Transmit {
                sealer,
                program: course.egress,
                is_closed: course.is_closed,
            }),
            receive: Mutex::new(Receive {
                version: opener.version(),
                opener,
                program: course.ingress,
                flight: flights,
                held: VecDeque::new(),
                end: course.end,
            }),
            post_handshake: post_handshake.map(Mutex::new).map(Box::new),
            tally,
        }
    }

    /// Repeats what the handshake left unacknowledged.
    #[cfg(feature = "boring")]
    pub(crate) fn resume(&mut self, flight: crate::post_handshake::Flight) {
        if let Some(post_handshake) = &mut self.post_handshake {
            let post_handshake = post_handshake.get_mut();
            let post_handshake = post_handshake.unwrap_or_else(PoisonError::into_inner);
            post_handshake.resume(flight, Instant::now());
        }
    }

    pub(crate) fn into_parts(self) -> Parts {
        let transmit = self.transmit.into_inner();
        let receive = self.receive.into_inner();
        let post_handshake = self.post_handshake.map(|post_handshake| {
            let post_handshake = post_handshake.into_inner();
            post_handshake.unwrap_or_else(PoisonError::into_inner)
        });
        let transmit = transmit.unwrap_or_else(PoisonError::into_inner);
        let receive = receive.unwrap_or_else(PoisonError::into_inner);
        let (key_updates, unsettled) = post_handshake.map(PostHandshake::into_parts).unzip();
        Parts::of_engines(Engines {
            sealer: transmit.sealer,
            opener: receive.opener,
            key_updates,
            unsettled: unsettled.unwrap_or_default(),
            flight: receive.flight,
            course: Course {
                is_closed: transmit.is_closed,
                end: receive.end,
                egress: transmit.program,
                ingress: receive.program,
            },
        })
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
        let payload = transmit.program.judge(payload)?;
        let sealed = seal_data(&mut transmit.sealer, &payload, out)?;
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
        // What a program has judged goes out: it is not run again for the next train.
        let most = if transmit.program.is_none() {
            MAX_TRAIN
        } else {
            1
        };
        for payload in payloads.iter().take(most) {
            let payload = transmit.program.judge(payload.as_ref())?;
            let overhead = transmit.sealer.overhead();
            let is_longer = payload.len() + overhead > train.segment;
            let is_too_much = train.len + payload.len() + overhead > MAX_TRAIN_BYTES;
            // What is too long for any datagram is the socket's to refuse.
            if train.count > 0 && (is_longer || is_too_much) {
                break;
            }
            let sealed = match seal_data(&mut transmit.sealer, &payload, &mut out[train.len..]) {
                Ok(sealed) => sealed,
                Err(_) if train.count > 0 => break,
                Err(error) => return Err(error),
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
        self.close_with(CLOSE_NOTIFY, send);
    }

    fn close_with(&self, alert: [u8; 2], send: &mut dyn FnMut(&[u8])) {
        let mut transmit = self.transmit();
        if transmit.is_closed {
            return;
        }
        transmit.is_closed = true;
        let mut datagram = [0; ALERT_ROOM];
        let sealer = &mut transmit.sealer;
        // A key that may seal nothing more has no alert left either: the peer finds out by silence.
        if let Ok(len) = sealer.seal(ContentType::ALERT, &alert, &mut datagram) {
            self.tally.sealed.one();
            send(&datagram[..len]);
        }
    }

    /// Attaches a program. One on what is received judges at once what was opened before it came, and waits to be
    /// read.
    pub(crate) fn attach<P>(&self, filter: Filter<P, Peer>) -> Result<(), Error>
    where
        P: Program<Peer> + Send + 'static,
    {
        let direction = filter.direction();
        let attach = |program: &mut Attached| match program.is_none() {
            true => {
                program.attach(filter);
                Ok(())
            }
            false => Err(Error::ProgramAttached(direction)),
        };
        match direction {
            MessageDirection::Egress => attach(&mut self.transmit().program),
            MessageDirection::Ingress => {
                let mut receive = self.receive();
                attach(&mut receive.program)?;
                self.judge_held(&mut receive);
                Ok(())
            }
        }
    }

    /// Takes a program away, if there is one.
    pub(crate) fn detach(&self, direction: MessageDirection) -> Result<(), Error> {
        Ok(match direction {
            MessageDirection::Egress => self.transmit().program.detach(),
            MessageDirection::Ingress => self.receive().program.detach(),
        }?)
    }

    /// Sends a KeyUpdate, or will when nothing else waits for its ACK; `request` asks for one of the
    /// peer's.
    pub(crate) fn update_keys(
        &self,
        request: bool,
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut post_handshake = self.post_handshake().ok_or(Error::NoKeyUpdates)?;
        let mut transmit = self.open_transmit()?;
        if request || !post_handshake.is_updating() {
            post_handshake.want_update(request);
        }
        Ok(post_handshake.proceed(&mut self.out(&mut transmit.sealer, &mut self.counted(send)))?)
    }

    /// Sends a KeyUpdate where the key has sealed nearly all that it may.
    pub(crate) fn refresh(&self, send: &mut dyn FnMut(&[u8])) {
        let is_updating = match self.post_handshake() {
            Some(post_handshake) => post_handshake.is_updating(),
            None => return,
        };
        if !is_updating && self.wants_new_keys() {
            // Where there is no key after this one, sealing says so when the time has come.
            let _ = self.update_keys(false, send);
        }
    }

    /// When [`tick`](Self::tick) is due, if it is at all: nothing is repeated once sending is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.post_handshake()?.due()?;
        (!self.transmit().is_closed).then_some(due)
    }

    /// Whether [`tick`](Self::tick) may ever be due.
    pub(crate) fn is_timed(&self) -> bool {
        self.post_handshake.is_some()
    }

    /// Repeats what was not acknowledged in time.
    pub(crate) fn tick(&self, send: &mut dyn FnMut(&[u8])) {
        let Some(mut post_handshake) = self.post_handshake() else {
            return;
        };
        let now = Instant::now();
        if post_handshake.due().is_none_or(|due| now < due) {
            return;
        }
        let mut transmit = self.transmit();
        if !transmit.is_closed {
            self.tally.flights_resent.one();
            let send = &mut self.counted(send);
            post_handshake.repeat(&mut self.out(&mut transmit.sealer, send));
        }
    }

    /// Forgets keys whose time is over: for whoever receives.
    pub(crate) fn forget_keys(&self) {
        if self.post_handshake.is_none() {
            return;
        }
        let mut receive = self.receive();
        if let Some(mut post_handshake) = self.post_handshake() {
            post_handshake.forget(&mut receive.opener, Instant::now());
        }
    }

    fn out<'a>(&self, sealer: &'a mut Sealer, send: &'a mut dyn FnMut(&[u8])) -> Out<'a> {
        let now = Instant::now();
        Out { sealer, send, now }
    }

    /// Counts each record that `send` is given.
    fn counted<'a>(&'a self, send: &'a mut dyn FnMut(&[u8])) -> impl FnMut(&[u8]) + 'a {
        move |record| {
            self.tally.sealed.one();
            send(record);
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

    /// Keeps payloads for a reader that the handshake's library has opened.
    #[cfg(feature = "boring")]
    pub(crate) fn hold(&self, payloads: Vec<Vec<u8>>) {
        self.receive().held.extend(payloads);
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

    fn post_handshake(&self) -> Option<MutexGuard<'_, PostHandshake>> {
        let post_handshake = self.post_handshake.as_ref()?.lock();
        Some(post_handshake.unwrap_or_else(PoisonError::into_inner))
    }

    fn receive(&self) -> MutexGuard<'_, Receive> {
        self.receive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seal_data(sealer: &mut Sealer, payload: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    if sealer.remaining() <= RESERVED {
        return Err(underseal_record::Error::ConfidentialityLimit.into());
    }
    Ok(sealer.seal(ContentType::APPLICATION_DATA, payload, out)?)
}

/// Copies as much as fits: what is left of a datagram is lost, as with every UDP socket.
pub(crate) fn copy(payload: &[u8], buffer: &mut [u8]) -> usize {
    let len = payload.len().min(buffer.len());
    buffer[..len].copy_from_slice(&payload[..len]);
    len
}

#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod tests;
