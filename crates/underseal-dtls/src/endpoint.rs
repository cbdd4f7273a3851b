//! An association and its socket: each call once, without waiting. The blocking socket and tokio's
//! are two ways to wait around it.

use std::io;

use rustix::io::Errno;
use underseal_sys::udp;

use crate::association::Association;
use crate::datagrams::{self, Datagrams, is_icmp};
use crate::{Batch, Counters, Error, Parts, buffers};

#[derive(Debug)]
pub(crate) struct Endpoint<S> {
    socket: S,
    association: Association,
}

impl<S: Datagrams> Endpoint<S> {
    pub(crate) fn new(socket: S, association: Association) -> Self {
        Self {
            socket,
            association,
        }
    }

    pub(crate) fn socket(&self) -> &S {
        &self.socket
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
        Ok(payload.len())
    }

    /// Seals and sends datagrams in trains, as many as the socket takes; an error is returned where it
    /// took none.
    pub(crate) fn send_batch(&self, payloads: &[impl AsRef<[u8]>]) -> Result<usize, Error> {
        let mut buffer = buffers::lend();
        let mut sent = 0;
        while sent < payloads.len() {
            let train = self.association.seal_train(&payloads[sent..], &mut buffer);
            let outcome = train.and_then(|train| {
                self.transmit_train(&buffer[..train.len], train.segment)?;
                Ok(train.count)
            });
            match outcome {
                Ok(count) => sent += count,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Sends a train, or its datagrams one by one where the path takes no trains: `EIO` where its
    /// interface computes no checksums, `EINVAL` where datagrams would be fragmented.
    fn transmit_train(&self, sealed: &[u8], segment: usize) -> io::Result<()> {
        let refused = match self.transmit(sealed, segment) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let errno = Errno::from_io_error(&refused);
        if sealed.len() <= segment || !matches!(errno, Some(Errno::IO | Errno::INVAL)) {
            return Err(refused);
        }
        for datagram in sealed.chunks(segment) {
            self.transmit(datagram, segment)?;
        }
        Ok(())
    }

    /// The next payload; `None` where a datagram was received that has none.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> Option<Result<usize, Error>> {
        if let Some(ready) = self.association.ready(buffer) {
            return Some(ready);
        }
        let mut lent = buffers::lend();
        let train = match datagrams::receive(&self.socket, &mut lent) {
            Ok(train) => train,
            Err(error) if is_icmp(&error) => {
                self.association.tally().icmp_errors.one();
                return None;
            }
            Err(error) => return Some(Err(error.into())),
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

    /// As [`recv`](Self::recv), all payloads of a train at once.
    pub(crate) fn recv_batch(&self, batch: &mut Batch) -> Option<Result<usize, Error>> {
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
        let train = match datagrams::receive(&self.socket, batch.all()) {
            Ok(train) => train,
            Err(error) if is_icmp(&error) => {
                self.association.tally().icmp_errors.one();
                return None;
            }
            Err(error) => return Some(Err(error.into())),
        };
        let (datagrams, payloads) = batch.received(train.len);
        let answer = &mut |answer: &[u8]| self.answer(answer);
        let place = |payload: &[u8], start: usize, _: &mut _| {
            payloads.push(start..start + payload.len());
        };
        self.association
            .open(datagrams, train.segment, answer, place);
        match batch.is_empty() {
            true => self.association.ready(&mut []),
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
        match datagrams::send(&self.socket, sealed, segment) {
            Err(error) if is_icmp(&error) => {
                self.association.tally().icmp_errors.one();
                datagrams::send(&self.socket, sealed, segment)
            }
            outcome => outcome,
        }
    }
}
