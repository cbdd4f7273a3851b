//! What goes on behind a handshake of DTLS 1.3: key updates, and messages that the peer has not
//! acknowledged (RFC 9147 sections 5.8, 7 and 8). It is told the time, and keeps none.

mod flight;
mod timer;

use std::time::{Duration, Instant};

use underseal_record::dtls::{
    ACK_LEN, Handled, KeyUpdates, Opener, RecordNumber, Sealer, acknowledged_numbers,
};
use underseal_record::{ContentType, Error};

use self::timer::Timer;

pub(crate) use flight::Flight;

/// How long records of an epoch are opened that its sender has left: they were overtaken, or repeat a
/// handshake whose ACK was lost.
const PREVIOUS_EPOCH: Duration = Duration::from_secs(240);

#[derive(Debug)]
pub(crate) struct PostHandshake {
    updates: KeyUpdates,
    unsettled: Unsettled,
    timer: Timer,
}

/// What waits for the peer, or for its time.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    flight: Flight,
    /// A KeyUpdate that has to wait for the ACK of what was sent before, and whether it asks for one of
    /// the peer's. The peer takes messages in order, but may acknowledge them in any.
    wanted: Option<bool>,
    /// When the epoch before became that.
    left: Option<Instant>,
}

/// Where records go: sealed, and sent if the socket has room.
pub(crate) struct Out<'a> {
    pub(crate) sealer: &'a mut Sealer,
    pub(crate) send: &'a mut dyn FnMut(&[u8]),
    pub(crate) now: Instant,
}

impl Out<'_> {
    /// Sends one record, if the key may seal it; its number.
    pub(crate) fn record(
        &mut self,
        content_type: ContentType,
        body: &[u8],
    ) -> Option<RecordNumber> {
        seal_and_send(self.sealer, content_type, body, self.send)
    }
}

fn seal_and_send(
    sealer: &mut Sealer,
    content_type: ContentType,
    body: &[u8],
    send: &mut dyn FnMut(&[u8]),
) -> Option<RecordNumber> {
    let number = sealer.next_number();
    let mut datagram = vec![0; body.len() + sealer.overhead()];
    let len = sealer.seal(content_type, body, &mut datagram).ok()?;
    send(&datagram[..len]);
    Some(number)
}

impl PostHandshake {
    pub(crate) fn new(updates: KeyUpdates) -> Self {
        Self {
            updates,
            unsettled: Unsettled::default(),
            timer: Timer::default(),
        }
    }

    /// Goes on with what another object has left, at `now`.
    pub(crate) fn settle(&mut self, unsettled: Unsettled, now: Instant) {
        self.unsettled = unsettled;
        if !self.unsettled.flight.is_empty() || self.updates.is_pending() {
            self.timer.start(now);
        }
    }

    /// Repeats `flight` until it is acknowledged; the handshake's epoch was left at `now`.
    #[cfg(any(feature = "boring", all(test, feature = "openssl")))]
    pub(crate) fn resume(&mut self, flight: Flight, now: Instant) {
        let unsettled = Unsettled {
            flight,
            wanted: None,
            left: Some(now),
        };
        self.settle(unsettled, now);
    }

    pub(crate) fn into_parts(self) -> (KeyUpdates, Unsettled) {
        (self.updates, self.unsettled)
    }

    /// Takes the body of an authentic handshake record; the ACK that is due in answer.
    ///
    /// # Errors
    ///
    /// As [`KeyUpdates::received`]: they end the association.
    pub(crate) fn received(
        &mut self,
        body: &[u8],
        number: RecordNumber,
        opener: &mut Opener,
        now: Instant,
    ) -> Result<Option<[u8; ACK_LEN]>, Error> {
        Ok(match self.updates.received(body, number, opener)? {
            Handled::Updated { ack, is_requested } => {
                self.unsettled.left = Some(now);
                if is_requested {
                    self.unsettled.wanted.get_or_insert(false);
                }
                Some(ack)
            }
            Handled::Other { ack } | Handled::Repeated { ack } => Some(ack),
            _ => None,
        })
    }

    /// Takes the body of an authentic ACK: what it acknowledges is not repeated any more, and sending goes
    /// on under the next key where that is a KeyUpdate.
    ///
    /// # Errors
    ///
    /// As [`KeyUpdates::acknowledged`].
    pub(crate) fn acknowledged(&mut self, ack: &[u8], out: &mut Out<'_>) -> Result<(), Error> {
        for number in acknowledged_numbers(ack) {
            self.unsettled.flight.acknowledged(number);
        }
        self.updates.acknowledged(ack, out.sealer)?;
        if self.unsettled.flight.is_empty() && !self.updates.is_pending() {
            self.timer.stop();
        }
        self.proceed(out)
    }

    /// Wants a KeyUpdate sent as soon as nothing else waits for its ACK.
    pub(crate) fn want_update(&mut self, request: bool) {
        let wanted = self.unsettled.wanted.get_or_insert(request);
        *wanted |= request;
    }

    /// Whether a KeyUpdate is under way, or is to be.
    pub(crate) fn is_updating(&self) -> bool {
        self.unsettled.wanted.is_some() || self.updates.is_pending()
    }

    /// Sends the KeyUpdate that is wanted, if it may go.
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] where no epoch or message number is left.
    pub(crate) fn proceed(&mut self, out: &mut Out<'_>) -> Result<(), Error> {
        if !self.unsettled.flight.is_empty() || self.updates.is_pending() {
            return Ok(());
        }
        let Some(request) = self.unsettled.wanted.take() else {
            return Ok(());
        };
        self.updates.message(request)?;
        self.timer.start(out.now);
        self.send_update(out);
        Ok(())
    }

    fn send_update(&mut self, out: &mut Out<'_>) {
        // While one is pending it is that one, and there is no error.
        let Ok(message) = self.updates.message(false) else {
            return;
        };
        if let Some(number) = out.record(ContentType::HANDSHAKE, &message) {
            self.updates.carried(number);
        }
    }

    /// When [`repeat`](Self::repeat) is due, if anything waits for its ACK.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.timer.due()
    }

    /// Sends what was not acknowledged in time again, in new records.
    pub(crate) fn repeat(&mut self, out: &mut Out<'_>) {
        if !self.timer.expired(out.now) {
            return;
        }
        self.unsettled.flight.repeat(out);
        if self.updates.is_pending() {
            self.send_update(out);
        }
    }

    /// Forgets the keys of the epoch before, after a while.
    pub(crate) fn forget(&mut self, opener: &mut Opener, now: Instant) {
        let is_over = |left: Instant| now.saturating_duration_since(left) >= PREVIOUS_EPOCH;
        if self.unsettled.left.is_some_and(is_over) && opener.forget_previous() {
            self.unsettled.left = None;
        }
    }
}
