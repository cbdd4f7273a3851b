//! An association and its socket: each call once, without waiting. The blocking socket and tokio's
//! are two ways to wait around it.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use underseal_sys::udp::{self, Train};

#[cfg(feature = "openssl")]
use crate::association::EarlyRecord;
use crate::association::{Association, Delivered};
use crate::datagrams::{self, Datagrams, is_icmp};
use crate::turn::{Turn, Turns};
use crate::{Batch, Counters, Error, Parts, buffers};

#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    socket: S,
    association: Association,
    turns: Turns,
}

impl<S: Datagrams> Endpoint<S> {
    pub(crate) fn new(socket: S, association: Association) -> Self {
        Self {
            socket,
            association,
            turns: Turns::default(),
        }
    }

    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    /// Whose turn it is to receive.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn into_parts(self) -> (S, Parts) {
        (self.socket, self.association.into_parts())
    }

    pub(crate) fn counters(&self) -> Counters {
        self.association.counters()
    }

    pub(crate) fn overhead(&self) -> usize {
        self.association.overhead()
    }

    pub(crate) fn wants_new_keys(&self) -> bool {
        self.association.wants_new_keys()
    }

    /// Seals and sends one datagram. A record that the socket does not take is lost with its
    /// number, and the next call seals anew: a number is never used for two datagrams.
    pub(crate) fn send(&self, payload: &[u8]) -> Result<usize, Error> {
        let mut buffer = buffers::lend();
        let len = self.association.seal(payload, &mut buffer)?;
        self.transmit(&buffer[..len], len)?;
        self.keep_up();
        Ok(payload.len())
    }

    /// Seals and sends datagrams in trains, as many as the socket takes; an error is returned where it
    /// took none.
    pub(crate) fn send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        let transmit = |sealed: &[u8], segment| self.transmit(sealed, segment);
        let sent = datagrams::send_batch(&self.association, payloads, transmit)?;
        self.keep_up();
        Ok(sent)
    }

    /// What DTLS 1.3 has to do from time to time: repeat what was not acknowledged, and update keys.
    fn keep_up(&self) {
        if self.association.is_timed() {
            self.association.tick(&mut |again| self.answer(again));
            self.association
                .refresh(&mut |message| self.answer(message));
        }
    }

    pub(crate) fn association(&self) -> &Association {
        &self.association
    }

    /// Sends a KeyUpdate.
    pub(crate) fn update_keys(&self, request: bool) -> Result<(), Error> {
        self.association
            .update_keys(request, &mut |message| self.answer(message))
    }

    /// When something is due to be sent again, if it is at all.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.association.due()
    }

    /// Whether anything may ever be due.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_timed(&self) -> bool {
        self.association.is_timed()
    }

    /// Receives a datagram, or several of one size; `None` where somebody said something by ICMP, or it was
    /// time for something else, or to wait no longer.
    fn receive(&self, turn: &Turn<'_>, buffer: &mut [u8]) -> Option<Result<Train, Error>> {
        self.association.forget_keys();
        self.keep_up();
        let is_readable = match self.due().into_iter().chain(turn.until()).min() {
            Some(until) => self.socket.is_readable_by(until),
            None => Ok(true),
        };
        let received = match is_readable {
            Ok(true) => datagrams::receive(&self.socket, buffer),
            Ok(false) => return None,
            Err(error) => Err(error),
        };
        match received {
            Err(error) if is_icmp(&error) => {
                self.association.tally().icmp_errors.one();
                None
            }
            received => Some(received.map_err(Error::from)),
        }
    }

    /// The next payload; `None` where a datagram was received that has none.
    pub(crate) fn recv(&self, turn: &Turn<'_>, buffer: &mut [u8]) -> Option<Result<usize, Error>> {
        if let Some(ready) = self.association.ready(buffer) {
            return Some(ready);
        }
        let mut lent = buffers::lend();
        let train = match self.receive(turn, &mut lent)? {
            Ok(train) => train,
            Err(error) => return Some(Err(error)),
        };
        let datagrams = &mut lent[..train.len];
        let answer = &mut |answer: &[u8]| self.answer(answer);
        let taken = self
            .association
            .take(datagrams, train.segment, buffer, answer);
        match taken {
            Some(len) => Some(Ok(len)),
            None => self.association.ready(buffer),
        }
    }

    /// Takes records that the hand-over has opened: their payloads are kept for those who receive.
    #[cfg(feature = "openssl")]
    pub(crate) fn take_early(&self, early: Vec<EarlyRecord>) {
        let answer = &mut |answer: &[u8]| self.answer(answer);
        for record in early {
            self.association
                .take_early(&record, answer, |delivered, held| {
                    held.push_back(delivered.payload.to_vec());
                });
        }
    }

    /// Takes a datagram that was received before: its payloads are kept for those who receive.
    #[cfg(feature = "boring")]
    pub(crate) fn arrived(&self, datagram: &mut [u8]) {
        let len = datagram.len();
        let answer = &mut |answer: &[u8]| self.answer(answer);
        self.association
            .open(datagram, len, answer, |delivered, held| {
                held.push_back(delivered.payload.to_vec());
            });
    }

    /// Takes a datagram that was received before, and whose payloads the handshake's library has opened: they open no more,
    /// and what else is in it is done.
    #[cfg(feature = "boring")]
    pub(crate) fn was_read(&self, datagram: &mut [u8]) {
        let len = datagram.len();
        let answer = &mut |answer: &[u8]| self.answer(answer);
        self.association.open(datagram, len, answer, |_, _| {});
    }

    /// As [`recv`](Self::recv), all payloads of a train at once.
    pub(crate) fn recv_batch(
        &self,
        turn: &Turn<'_>,
        batch: &mut Batch,
    ) -> Option<Result<usize, Error>> {
        batch.clear();
        while let Some(room) = batch.room() {
            match self.association.ready(room) {
                Some(Ok(len)) => batch.add(len),
                Some(Err(error)) if batch.is_empty() => return Some(Err(error)),
                _ => break,
            }
        }
        if !batch.is_empty() {
            return Some(Ok(batch.len()));
        }
        let train = match self.receive(turn, batch.all())? {
            Ok(train) => train,
            Err(error) => return Some(Err(error)),
        };
        let (datagrams, payloads) = batch.received(train.len);
        let answer = &mut |answer: &[u8]| self.answer(answer);
        let place = |delivered: Delivered<'_>, held: &mut VecDeque<Vec<u8>>| {
            let payload = delivered.payload;
            match delivered.start {
                // Nothing overtakes what a program has changed.
                Some(start) if held.is_empty() => payloads.push(start..start + payload.len()),
                _ => held.push_back(payload.to_vec()),
            }
        };
        self.association
            .open(datagrams, train.segment, answer, place);
        match batch.is_empty() {
            // What a program has changed is kept, and so is the end.
            true => match batch.room().map(|room| self.association.ready(room))? {
                Some(Ok(len)) => {
                    batch.add(len);
                    Some(Ok(batch.len()))
                }
                other => other,
            },
            false => Some(Ok(batch.len())),
        }
    }

    pub(crate) fn set_gro(&self, on: bool) -> Result<(), Error> {
        udp::set_gro(&self.socket, on).map_err(io::Error::from)?;
        Ok(())
    }

    /// Closes the association for sending.
    pub(crate) fn close(&self) {
        self.association.close(&mut |alert| self.answer(alert));
    }

    /// Sends what need not arrive, if the socket has room for it: also where tokio has not asked yet
    /// whether it has.
    fn answer(&self, datagram: &[u8]) {
        let len = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        if let Err(errno) = udp::send_train(&self.socket, datagram, len)
            && is_icmp(&errno.into())
        {
            self.association.tally().icmp_errors.one();
            let _ = udp::send_train(&self.socket, datagram, len);
        }
    }

    /// Sends sealed datagrams. What ICMP said of earlier ones comes instead of sending them, once.
    fn transmit(&self, sealed: &[u8], segment: usize) -> io::Result<usize> {
        let send = || datagrams::send(&self.socket, sealed, segment);
        let said = match send() {
            Err(error) if is_icmp(&error) => error,
            outcome => return outcome,
        };
        let outcome = send();
        // What is said twice was said of these datagrams: they are too long.
        let same = |error: &io::Error| error.raw_os_error() == said.raw_os_error();
        if !outcome.as_ref().is_err_and(same) {
            self.association.tally().icmp_errors.one();
        }
        outcome
    }
}

#[cfg(test)]
#[cfg(any(feature = "aead-aws-lc-rs", feature = "aead-ring"))]
mod tests {
    use rustix::io::Errno;
    use underseal_record::dtls::ReplayWindow;

    use super::*;
    use crate::datagrams::scripted::Scripted;
    use crate::testing::keys;

    /// Both sides; the socket of the first fails as the scripts say.
    fn pair(
        sends: &[Option<Errno>],
        receives: &[Option<Errno>],
    ) -> (Endpoint<Scripted>, Endpoint<Scripted>) {
        let (near, far) = Scripted::pair(sends, receives);
        let side = |socket, side| {
            let parts = Parts::new(keys(side), keys(1 - side), ReplayWindow::default());
            Endpoint::new(socket, Association::new(parts, Vec::new()))
        };
        (side(near, 0), side(far, 1))
    }

    fn recv(endpoint: &Endpoint<Scripted>) -> Vec<u8> {
        let mut buffer = [0; 2000];
        loop {
            let received = endpoint.recv(&endpoint.turns().next(), &mut buffer);
            if let Some(received) = received {
                return buffer[..received.expect("it was sent")].to_vec();
            }
        }
    }

    #[test]
    fn a_train_that_was_sent_in_part_is_counted_by_its_parts() {
        for refused in [Errno::IO, Errno::INVAL] {
            let (full, none) = (Some(Errno::AGAIN), None);
            let (near, far) = pair(&[Some(refused), none, full, full], &[]);
            let payloads = [[1; 100], [2; 100], [3; 100]];
            assert!(matches!(near.send_batch(&payloads), Ok(1)), "{refused}");
            assert!(matches!(near.send_batch(&payloads[1..]), Ok(2)));
            let received = [(); 3].map(|()| recv(&far));
            assert_eq!(received, payloads);
        }
    }

    #[test]
    fn whoever_waits_no_longer_is_told_what_there_is_and_nothing_else() {
        let (near, far) = pair(&[], &[]);
        let patience = Some(std::time::Duration::from_secs(5));
        let socket = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&near.socket, socket, patience)
            .expect("it is a socket");
        let now = || near.turns().until(Instant::now()).expect("nobody has it");
        let mut buffer = [0; 100];
        let received = near.recv(&now(), &mut buffer);
        assert!(received.is_none(), "{received:?}");
        assert!(matches!(far.send(b"there"), Ok(5)));
        assert!(matches!(near.recv(&now(), &mut buffer), Some(Ok(5))));
    }

    #[test]
    fn where_trains_are_too_long_for_the_path_their_datagrams_go_one_by_one() {
        // Since Linux 6.14.
        let refused = Some(Errno::MSGSIZE);
        let (near, far) = pair(&[refused, refused], &[]);
        let payloads = [[1; 100], [2; 100]];
        assert!(matches!(near.send_batch(&payloads), Ok(2)));
        assert_eq!([recv(&far), recv(&far)], payloads);
        assert_eq!(near.counters().icmp_errors, 0);
    }

    /// ICMP says "fragmentation needed" of an earlier datagram, to whoever asks the socket next.
    #[test]
    fn what_icmp_says_of_the_mtu_is_no_error_of_the_next_call() {
        let said = Some(Errno::MSGSIZE);
        let (near, far) = pair(&[said], &[said]);
        assert!(matches!(near.send(b"there"), Ok(5)));
        assert_eq!(recv(&far), b"there");
        assert!(matches!(far.send(b"back"), Ok(4)));
        assert_eq!(recv(&near), b"back");
        assert_eq!(near.counters().icmp_errors, 2);
        // Said of this very datagram.
        let (near, _far) = pair(&[said, said], &[]);
        let refused = near.send(b"there");
        assert!(
            matches!(&refused, Err(Error::Socket(error))
            if Errno::from_io_error(error) == said),
            "{refused:?}"
        );
        assert_eq!(near.counters().icmp_errors, 0);
    }
}
