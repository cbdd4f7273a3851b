mod bytes;

use underseal_record::{
    ApiMisuse, Error as RecordError, Limits, Opener, Padding, Sealer, TrafficKeys, TrafficSecret,
};

use crate::Error;
use crate::engine::{Connection, End, Receive, Transmit};
use crate::handshake::Tickets;

pub use bytes::{InvalidParts, Movable};

/// A stream taken apart, by `into_parts`; `from_parts` builds it again.
///
/// Parts can move to another task, be handed to another engine, or, with [`Parts::into_bytes`], to
/// another process. Whoever holds the keys owns the sequence numbers: after the keys were copied
/// to another place nothing may be sealed here any more, because a nonce that is used twice gives
/// the key away.
#[non_exhaustive]
pub struct Parts<IO, Session> {
    /// The stream below.
    pub io: IO,
    /// What the handshake agreed on.
    pub session: Session,
    /// Keys and next sequence number of the sending direction.
    pub tx: TrafficKeys,
    /// Keys and next sequence number of the receiving direction.
    pub rx: TrafficKeys,
    /// What the next keys of the sending direction derive from; `None` under TLS 1.2.
    pub tx_secret: Option<TrafficSecret>,
    /// What the next keys of the receiving direction derive from; `None` under TLS 1.2.
    pub rx_secret: Option<TrafficSecret>,
    /// Plaintext that was opened and not read.
    pub plaintext: Vec<u8>,
    /// Ciphertext that was received and not opened.
    pub received: Vec<u8>,
    /// Ciphertext that was sealed and not sent: it goes out before anything else.
    pub unsent: Vec<u8>,
    /// Whether this side sent close_notify.
    pub tx_closed: bool,
    /// Whether the peer sent close_notify.
    pub rx_closed: bool,
    /// Most plaintext bytes of one record that the peer takes.
    pub max_plaintext: usize,
    /// How records are padded.
    pub padding: Padding,
    /// How many records a key may seal.
    pub limits: Limits,
    pub(crate) tickets: Tickets,
}

impl<IO, Session> Parts<IO, Session> {
    pub(crate) fn take(io: IO, session: Session, connection: Connection) -> Result<Self, Error> {
        let rx_closed = match connection.end {
            None => false,
            Some(End::CloseNotify) => true,
            Some(End::Failed(error)) => return Err(*error),
        };
        if connection.control.holds_anything() {
            return Err(Error::Unsupported(
                "taking a stream apart in the middle of a control message",
            ));
        }
        let (sealer, tx_secret, unsent, tx_closed) = connection.tx.into_parts();
        let (opener, rx_secret, plaintext, received) = connection.rx.into_parts();
        Ok(Self {
            io,
            session,
            max_plaintext: sealer.max_plaintext(),
            padding: sealer.padding(),
            limits: sealer.limits(),
            tx: sealer.into_keys(),
            rx: opener.into_keys()?,
            tx_secret,
            rx_secret,
            plaintext,
            received,
            unsent,
            tx_closed,
            rx_closed,
            tickets: connection.tickets,
        })
    }

    pub(crate) fn put_together(self) -> Result<(IO, Session, Connection), Error> {
        if self.tx.version() != self.rx.version() || self.tx.algorithm() != self.rx.algorithm() {
            return Err(RecordError::from(ApiMisuse::DirectionsDiffer).into());
        }
        crate::backend::apply_environment();
        let mut sealer = Sealer::new(self.tx);
        sealer.lower_max_plaintext(self.max_plaintext);
        sealer.set_padding(self.padding);
        sealer.lower_limits(self.limits);
        let tx = Transmit::new(sealer, self.tx_secret, &self.unsent, self.tx_closed);
        let rx = Receive::new(
            Opener::new(self.rx),
            self.rx_secret,
            &self.plaintext,
            &self.received,
        );
        let end = self.rx_closed.then_some(End::CloseNotify);
        let connection = Connection::new(tx, rx, self.tickets, end);
        Ok((self.io, self.session, connection))
    }
}

impl<IO: std::fmt::Debug, Session: std::fmt::Debug> std::fmt::Debug for Parts<IO, Session> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("io", &self.io)
            .field("session", &self.session)
            .field("tx", &self.tx)
            .field("rx", &self.rx)
            .finish_non_exhaustive()
    }
}
