//! The one adapter to rustls 0.23: its unbuffered connections make the handshake, and a client's
//! kernel connection lives on for tickets.
//!
//! rustls 0.24 replaces both APIs; nothing outside of this module names them.

mod client;
mod ech;
mod hello;
mod keys;
mod prepared;
mod rejected;
mod resumption;
mod secrets;
mod server;
mod tickets;

use std::io;

use rustls::InvalidMessage;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus,
};

use crate::Error;
use crate::buffers;
use crate::handover::Established;
use crate::transport::Transport;
use hello::Hello;

pub(crate) use client::{ClientHandshake, prepare_client};
pub(crate) use keys::traffic_keys;
pub(crate) use secrets::Secrets;
pub(crate) use server::{ServerHandshake, prepare_server};
pub(crate) use tickets::Tickets;

/// Bytes received at once during the handshake; most flights fit.
const RECEIVE_LEN: usize = 8 * 1024;

/// Bytes that may wait for rustls to accept them: its longest handshake message, the records
/// around it, and some that follow.
const MAX_INCOMING: usize = 128 * 1024;

/// A message is longer than any may be, or does not fit.
const TOO_LARGE: rustls::Error =
    rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);

/// Bytes of a record's header.
const HEADER_LEN: usize = 5;

/// Content type of alerts.
const ALERT: u8 = 21;

/// A rustls connection of either side, with what differs between them.
pub(crate) trait Unbuffered {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn is_handshaking(&self) -> bool;

    /// Whether anything is queued that is to be sent.
    fn wants_write(&self) -> bool;
}

/// A handshake in progress, of either side.
pub(crate) trait Handshake {
    type Session;

    /// Drives the handshake until it is complete. `WouldBlock` leaves everything as it is, to be
    /// called again.
    fn drive(&mut self, transport: &mut impl Transport) -> io::Result<()>;

    /// Hands a complete handshake over.
    fn finish(self: Box<Self>) -> Result<Established<Self::Session>, Error>;
}

/// Bytes on their way through a handshake.
#[derive(Default)]
pub(crate) struct Flight {
    /// Received, not yet accepted by rustls.
    pub(crate) incoming: Vec<u8>,
    /// Sealed by rustls; sent up to `sent`.
    outgoing: Vec<u8>,
    sent: usize,
    /// Where in `outgoing` the present flight begins: the last one may not be sent yet.
    flight_start: usize,
    /// Whether the stream below was given something and not flushed since.
    unflushed: bool,
    /// Data that came right behind the peer's last handshake message.
    pub(crate) plaintext: Vec<u8>,
    pub(crate) peer_closed: bool,
    /// Whether rustls was asked, since it last had anything to do, for an answer it holds back.
    settled: bool,
    failed: Option<Error>,
    /// Whether rustls is done: what is received from here on is for the stream to open.
    is_complete: bool,
    /// Whether this side is the server: whose bytes the hello is among.
    is_server: bool,
    /// The first that a client, and a server, says.
    client_hello: Hello,
    server_hello: Hello,
}

/// What rustls wants next.
pub(crate) enum Progress {
    /// It changed its state or gave bytes to send: ask again.
    Again,
    /// It needs bytes of the peer.
    Blocked,
    /// The handshake is complete.
    Done,
}

impl Flight {
    /// Drives the handshake until it is complete. `WouldBlock` leaves everything as it is, to be
    /// called again. `own` handles the two states that only one side has more to say about:
    /// before a flight is sent (its bytes are the first argument), and when early data came.
    ///
    /// While the stream below takes nothing, what the peer sends is received all the same: it may
    /// be about to read only when it has sent that.
    pub(crate) fn complete<U: Unbuffered>(
        &mut self,
        transport: &mut impl Transport,
        connection: &mut U,
        mut own: impl FnMut(&mut Vec<u8>, ConnectionState<'_, '_, U::Data>) -> Result<(), Error>,
    ) -> io::Result<()> {
        loop {
            if self.is_complete {
                return self.flush_and_receive(transport);
            }
            let progress = match &self.failed {
                None => self.advance(connection, &mut own),
                // The alert that rustls queued goes out before the failure is reported.
                Some(error) => {
                    let error = error.clone();
                    return match self.flush(transport) {
                        Err(full) if full.kind() == io::ErrorKind::WouldBlock => Err(full),
                        // Why the handshake failed matters more than why the alert did not go out.
                        _ => Err(error.into()),
                    };
                }
            };
            match progress {
                Ok(Progress::Again) => {}
                Ok(Progress::Done) if !self.holds_whole_record() => self.is_complete = true,
                // What is sealed goes out before anything is waited for: the peer may wait for it.
                Ok(Progress::Blocked | Progress::Done) => {
                    self.flush_if_ready(transport)?;
                    if self.incoming.len() + RECEIVE_LEN > MAX_INCOMING {
                        self.refuse_more(connection, &mut own);
                    } else if self.receive(transport)? == 0 {
                        return Err(Error::ClosedInHandshake.into());
                    }
                }
                // The one failure that rustls tells no peer of.
                Err(Error::Handshake(TOO_LARGE)) => self.refuse_more(connection, &mut own),
                Err(error) => {
                    self.failed = Some(error);
                    self.drain_alert(connection, &mut own);
                }
            }
        }
    }

    /// Encodes the first flight, and calls `f` before it is sent. That it was sent is still to be
    /// said: [`complete`](Self::complete) does.
    #[cfg(feature = "tokio")]
    pub(crate) fn with_first<U: Unbuffered>(
        &mut self,
        connection: &mut U,
        f: impl FnOnce(&mut Vec<u8>, &mut rustls::unbuffered::TransmitTlsData<'_, U::Data>),
    ) {
        loop {
            match connection.process(&mut self.incoming).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let start = self.outgoing.len();
                    if encode(&mut data, &mut self.outgoing).is_err() {
                        return;
                    }
                    self.client_hello.read(&self.outgoing[start..]);
                }
                Ok(ConnectionState::TransmitTlsData(mut transmit)) => {
                    return f(&mut self.outgoing, &mut transmit);
                }
                _ => return,
            }
        }
    }

    fn advance<U: Unbuffered>(
        &mut self,
        connection: &mut U,
        own: &mut impl FnMut(&mut Vec<u8>, ConnectionState<'_, '_, U::Data>) -> Result<(), Error>,
    ) -> Result<Progress, Error> {
        let UnbufferedStatus { discard, state, .. } = connection.process(&mut self.incoming);
        let settled = std::mem::take(&mut self.settled);
        let progress = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let start = self.outgoing.len();
                encode(&mut data, &mut self.outgoing)?;
                match self.is_server {
                    true => self.server_hello.read(&self.outgoing[start..]),
                    false => self.client_hello.read(&self.outgoing[start..]),
                }
                Progress::Again
            }
            Ok(
                state @ (ConnectionState::TransmitTlsData(_) | ConnectionState::ReadEarlyData(_)),
            ) => {
                let ends_flight = matches!(state, ConnectionState::TransmitTlsData(_));
                let mut flight = self.outgoing.split_off(self.flight_start);
                let done = own(&mut flight, state);
                self.outgoing.append(&mut flight);
                done?;
                if ends_flight {
                    self.flight_start = self.outgoing.len();
                }
                Progress::Again
            }
            Ok(ConnectionState::ReadTraffic(mut data)) => {
                while let Some(record) = data.next_record() {
                    self.plaintext.extend_from_slice(record?.payload);
                }
                Progress::Again
            }
            Ok(ConnectionState::PeerClosed) => {
                self.peer_closed = true;
                Progress::Again
            }
            Ok(ConnectionState::WriteTraffic(_)) if settled => Progress::Done,
            Ok(ConnectionState::WriteTraffic(mut write)) => {
                // A KeyUpdate right behind the handshake was answered already: rustls seals under
                // the new key and keeps the answer until the next write. An attempt without room
                // seals nothing and lets the answer out.
                let _ = write.encrypt(&[0], &mut []);
                self.settled = true;
                Progress::Again
            }
            Ok(ConnectionState::Closed) => return Err(Error::ClosedInHandshake),
            Ok(_) if self.peer_closed => return Err(Error::ClosedInHandshake),
            Ok(_) => Progress::Blocked,
            Err(error) => {
                self.incoming.drain(..discard);
                return Err(error.into());
            }
        };
        self.incoming.drain(..discard);
        match progress {
            // A server may write before it has heard the client's Finished: not yet.
            Progress::Done if connection.is_handshaking() => Ok(Progress::Blocked),
            progress => Ok(progress),
        }
    }

    /// Gives up a message that does not fit. rustls, which alone has the keys of the moment, is
    /// made to send the alert: it is shown a record that is none behind the whole ones.
    fn refuse_more<U: Unbuffered>(
        &mut self,
        connection: &mut U,
        own: &mut impl FnMut(&mut Vec<u8>, ConnectionState<'_, '_, U::Data>) -> Result<(), Error>,
    ) {
        let (mut whole, mut records) = (0, 0);
        while let Some(len) = record_len(&self.incoming[whole..]) {
            whole += len;
            records += 1;
        }
        self.incoming.truncate(whole);
        self.incoming.extend([0xff; HEADER_LEN]);
        for _ in 0..=records {
            if connection.wants_write() {
                break;
            }
            // It may refuse each of them; the reason that it has for the last is not the reason.
            let _ = self.advance(connection, own);
        }
        self.failed = Some(TOO_LARGE.into());
        self.drain_alert(connection, own);
    }

    /// rustls accepted all whole records but those of a message that is not complete yet: its
    /// sequence number is past them, so the handshake goes on until the message is whole.
    fn holds_whole_record(&self) -> bool {
        record_len(&self.incoming).is_some()
    }

    /// Takes the alert that rustls queued when it failed, and what it had queued before: a server
    /// finds out behind its ServerHello that no protocol is in common.
    ///
    /// rustls is given the bytes that it failed at once more, because it remembers where in them
    /// it was and panics without them; and it is asked only while something is queued, because past
    /// that it would fail at them again.
    fn drain_alert<U: Unbuffered>(
        &mut self,
        connection: &mut U,
        own: &mut impl FnMut(&mut Vec<u8>, ConnectionState<'_, '_, U::Data>) -> Result<(), Error>,
    ) {
        while connection.wants_write() {
            let UnbufferedStatus { discard, state, .. } = connection.process(&mut self.incoming);
            let taken = match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing)
                }
                // What was received before comes first; it is of no use any more.
                Ok(ConnectionState::ReadTraffic(mut data)) => {
                    while data.next_record().is_some() {}
                    Ok(())
                }
                Ok(state @ ConnectionState::ReadEarlyData(_)) => own(&mut self.outgoing, state),
                // rustls gives what is queued before it says anything else.
                _ => return,
            };
            self.incoming.drain(..discard);
            if taken.is_err() {
                // Without the alert the failure is reported all the same.
                return;
            }
        }
    }

    fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while self.sent < self.outgoing.len() {
            match transport.send(&self.outgoing[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.sent += n,
            }
            self.unflushed = true;
        }
        self.outgoing.clear();
        (self.sent, self.flight_start) = (0, 0);
        if self.unflushed {
            transport.flush()?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// As [`flush`](Self::flush), for those who come back when there is room.
    fn flush_if_ready(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        match self.flush(transport) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }

    /// Sends the end of the last flight. What is received meanwhile is kept for the stream, as far
    /// as there is room for it.
    fn flush_and_receive(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        loop {
            match self.flush(transport) {
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                    let is_full = self.incoming.len() + RECEIVE_LEN > MAX_INCOMING;
                    // The end of the peer's stream is told by reading.
                    if is_full || self.receive(transport)? == 0 {
                        return Err(full);
                    }
                }
                flushed => return flushed,
            }
        }
    }

    /// Receives some bytes; zero is the end of the stream.
    fn receive(&mut self, transport: &mut impl Transport) -> io::Result<usize> {
        // One that the thread lends: room of one's own would have to be made and cleared each time.
        let mut buffer = buffers::lend();
        let received = transport.recv(&mut buffer[..RECEIVE_LEN])?;
        // Behind those are bytes of another connection's, which a transport that miscounts must not get.
        let asked = &buffer[..RECEIVE_LEN];
        let bytes = asked.get(..received);
        let bytes =
            bytes.ok_or_else(|| io::Error::other("a transport received more than it may"))?;
        self.incoming.extend_from_slice(bytes);
        if !self.is_server {
            self.server_hello.read(bytes);
        }
        Ok(received)
    }
}

/// Whether the peer is told of a failed handshake: it began, the peer did not end it itself, and the
/// stream below works.
pub(crate) fn tells_peer(error: &io::Error) -> bool {
    match Error::of(error) {
        // See `Error::before_handshake`.
        Some(Error::Handshake(_)) if error.kind() == io::ErrorKind::Other => false,
        Some(Error::ClosedInHandshake | Error::AlertReceived(_)) | None => false,
        Some(_) => true,
    }
}

/// Bytes of the record in front, if it is whole.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let &[_, _, _, a, b] = bytes.first_chunk::<HEADER_LEN>()?;
    let len = HEADER_LEN + usize::from(u16::from_be_bytes([a, b]));
    (bytes.len() >= len).then_some(len)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let len = outgoing.len();
    // The first call tells the size, the second writes.
    let mut room = 0;
    loop {
        outgoing.resize(len + room, 0);
        match data.encode(&mut outgoing[len..]) {
            Ok(n) => {
                outgoing.truncate(len + n);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(rustls::Error::General(error.to_string()).into()),
        }
    }
}
