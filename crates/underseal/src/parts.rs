mod bytes;
mod codec;
#[doc(hidden)]
pub mod fuzz;

use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use underseal_record::{
    ApiMisuse, Error as RecordError, Limits, MAX_PLAINTEXT, Opener, Padding, Sealer, TrafficKeys,
    TrafficSecret,
};
use underseal_sys::tls::Direction;

use crate::Error;
use crate::engine::{Carried, Connection, Counters, End, Receive, Transmit, kernel, user};
use crate::handshake::Tickets;
use crate::offload::{Engine, Engines, Refusal};
use crate::session::Orders;

pub use bytes::{InvalidParts, Movable};

/// What a record may be limited to: a whole alert or key update fits.
const MAX_PLAINTEXTS: RangeInclusive<usize> = 27..=MAX_PLAINTEXT;

/// A stream taken apart, by `into_parts`; `from_parts` builds it again.
///
/// Programs do not move: `into_parts` refuses while one is attached, so that no policy is lost in
/// silence. What is not sealed yet and not in the kernel's hands is sealed for `unsent`; what a
/// stream counted, what it was asked to move into the kernel, and whether it delivers records of
/// other types, go along. Others that redirect to the stream find it closed.
///
/// Parts can move to another task, be handed to another engine, or, with [`Parts::into_bytes`], to
/// another process. Whoever holds the keys owns the sequence numbers: after the keys were copied
/// to another place nothing may be sealed here any more, because a nonce that is used twice gives
/// the key away.
///
/// What the kernel sealed or opened, it goes on to seal or open for as long as the socket lives:
/// its keys and sequence numbers are read back, parts say so ([`Parts::engines`]), and parts with the
/// same socket make a stream that goes on in the kernel. With another stream below (set `io` to one
/// that carries on where the socket stood, towards a peer that does the same) they go on in this
/// process. Where it cannot be told which of both it is, because `io` is no TCP socket of std or
/// tokio, `from_parts` refuses, unless [`Parts::assert_another_connection`] said it.
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
    /// Most plaintext bytes of one record: 27, the least that rustls' `max_fragment_size` comes to,
    /// to 2^14.
    pub max_plaintext: usize,
    /// How records are padded.
    pub padding: Padding,
    /// How many records a key may seal.
    pub limits: Limits,
    pub(crate) carried: Carried,
    /// Whether it was asserted that `io` is not the socket of a kernel that held a direction.
    is_elsewhere: bool,
    pub(crate) tickets: Tickets,
    pub(crate) orders: Arc<Orders>,
}

impl<IO, Session> Parts<IO, Session> {
    /// Who sealed and who opened. A kernel that did goes on to do so for its socket.
    pub fn engines(&self) -> Engines {
        self.carried.engines
    }

    /// What the stream counted.
    pub fn counters(&self) -> Counters {
        self.carried.counters
    }

    /// Says that `io` leads to another connection than the one that a kernel sealed or opened for:
    /// neither that socket, nor anything over it. `from_parts` believes it where it cannot look.
    ///
    /// **Hazard**: if it is not so, two seal with the same keys and sequence numbers, which gives
    /// the key away.
    #[must_use]
    pub fn assert_another_connection(mut self) -> Self {
        self.is_elsewhere = true;
        self
    }

    /// The same with another session, and the session that there was.
    #[cfg(feature = "tokio")]
    pub(crate) fn replace_session<T>(self, session: T) -> (Session, Parts<IO, T>) {
        let parts = Parts {
            io: self.io,
            session,
            tx: self.tx,
            rx: self.rx,
            tx_secret: self.tx_secret,
            rx_secret: self.rx_secret,
            plaintext: self.plaintext,
            received: self.received,
            unsent: self.unsent,
            tx_closed: self.tx_closed,
            rx_closed: self.rx_closed,
            max_plaintext: self.max_plaintext,
            padding: self.padding,
            limits: self.limits,
            carried: self.carried,
            is_elsewhere: self.is_elsewhere,
            tickets: self.tickets,
            orders: self.orders,
        };
        (self.session, parts)
    }

    /// Takes a stream apart. `socket_of` finds the TCP socket that `io` is, if it is one. What was
    /// written is with the kernel, or a part of `unsent`.
    pub(crate) fn take(
        io: IO,
        session: Session,
        mut connection: Connection,
        socket_of: impl Fn(&IO) -> Option<BorrowedFd<'_>>,
    ) -> Result<Self, Error> {
        let rx_closed = match connection.end.as_deref() {
            None => false,
            Some(End::CloseNotify) => true,
            Some(End::Failed(error)) => return Err(error.clone()),
        };
        if let Some(error) = connection.rx.untold_failure()
            && !rx_closed
        {
            return Err(error);
        }
        if connection.tx.is_broken() {
            return Err(Error::WriteAfterClose);
        }
        if let Some(direction) = connection.program_attached() {
            return Err(Error::ProgramAttached(direction));
        }
        if connection.programs_hold_data() {
            return Err(Error::unsupported(
                "taking a stream apart whose program holds data",
            ));
        }
        if connection.control.holds_anything() {
            return Err(Error::unsupported(
                "taking a stream apart in the middle of a control message",
            ));
        }
        connection.obey_before_parting();
        let tx_closed = connection.tx.is_closed();
        let (max_plaintext, padding, limits) = (
            connection.tx.max_plaintext(),
            connection.tx.padding(),
            connection.tx.limits(),
        );
        let carried = connection.carried();
        let socket = socket_of(&io);
        let (tx, tx_secret, unsent) = take_tx(connection.tx, socket)?;
        let (rx, rx_secret, plaintext, received) = take_rx(connection.rx, socket)?;
        Ok(Self {
            io,
            session,
            max_plaintext,
            padding,
            limits,
            tx,
            rx,
            tx_secret,
            rx_secret,
            plaintext,
            received,
            unsent,
            tx_closed,
            rx_closed,
            carried,
            is_elsewhere: false,
            tickets: connection.tickets,
            orders: connection.orders,
        })
    }

    pub(crate) fn put_together(
        self,
        socket_of: impl Fn(&IO) -> Option<BorrowedFd<'_>>,
    ) -> Result<(IO, Session, Connection), Error> {
        if self.tx.version() != self.rx.version() || self.tx.algorithm() != self.rx.algorithm() {
            return Err(RecordError::from(ApiMisuse::DirectionsDiffer).into());
        }
        if !MAX_PLAINTEXTS.contains(&self.max_plaintext) {
            return Err(RecordError::from(ApiMisuse::RecordSizeLimit).into());
        }
        check_secret(&self.tx, self.tx_secret.as_ref())?;
        check_secret(&self.rx, self.rx_secret.as_ref())?;
        crate::backend::apply_environment();
        let socket = socket_of(&self.io);
        let tx_socket = self.kernel_socket(socket, Direction::Tx)?;
        let rx_socket = self.kernel_socket(socket, Direction::Rx)?;
        let tx = match tx_socket {
            Some(_) => {
                let (seq, secret) = (self.tx.seq(), self.tx_secret);
                Transmit::Kernel(kernel::Transmit::new(
                    seq,
                    secret,
                    self.limits,
                    self.max_plaintext,
                    self.tx_closed,
                ))
            }
            None => {
                let mut sealer = Sealer::new(self.tx);
                sealer.lower_max_plaintext(self.max_plaintext);
                sealer.set_padding(self.padding);
                sealer.lower_limits(self.limits);
                let (secret, unsent) = (self.tx_secret, &self.unsent);
                Transmit::User(user::Transmit::new(sealer, secret, unsent, self.tx_closed))
            }
        };
        let rx = match rx_socket {
            Some(_) => {
                let (version, secret) = (self.rx.version(), self.rx_secret);
                Receive::Kernel(kernel::Receive::new(version, secret, &self.plaintext))
            }
            None => Receive::User(user::Receive::new(
                Opener::new(self.rx),
                self.rx_secret,
                &self.plaintext,
                &self.received,
            )),
        };
        let end = self.rx_closed.then_some(End::CloseNotify);
        let mut connection = Connection::new(tx, rx, self.tickets, self.orders, end);
        connection.go_on(socket, self.carried)?;
        Ok((self.io, self.session, connection))
    }

    /// The socket, if the kernel holds the direction with the keys of these parts. `None` if it is
    /// certain that it does not, or was asserted.
    fn kernel_socket<'s>(
        &self,
        socket: Option<BorrowedFd<'s>>,
        direction: Direction,
    ) -> Result<Option<BorrowedFd<'s>>, Error> {
        let (keys, engine) = match direction {
            Direction::Tx => (&self.tx, self.carried.engines.tx),
            Direction::Rx => (&self.rx, self.carried.engines.rx),
        };
        let held = socket.map(|socket| (socket, kernel::holds(socket, direction)));
        match held {
            Some((socket, Ok(true))) => {
                check_same(socket, direction, keys)?;
                Ok(Some(socket))
            }
            // The kernel does not give a direction back: this is another socket.
            Some((_, Ok(false))) => Ok(None),
            _ if engine == Engine::User || self.is_elsewhere => Ok(None),
            Some((_, Err(_))) | None => Err(Error::Offload {
                direction,
                refusal: Refusal::HeldByKernel,
            }),
        }
    }
}

type TxParts = (TrafficKeys, Option<TrafficSecret>, Vec<u8>);
type RxParts = (TrafficKeys, Option<TrafficSecret>, Vec<u8>, Vec<u8>);

fn take_tx(tx: Transmit, socket: Option<BorrowedFd<'_>>) -> Result<TxParts, Error> {
    match tx {
        Transmit::User(tx) => {
            let (sealer, secret, unsent) = tx.into_parts()?;
            Ok((sealer.into_keys(), secret, unsent))
        }
        Transmit::Kernel(tx) => {
            if tx.holds_anything() {
                return Err(Error::unsupported(
                    "taking a stream apart before it is flushed",
                ));
            }
            let mut keys = read_back(socket, Direction::Tx)?;
            // Whoever seals with them does not count explicit nonces as the kernel does.
            keys.renew_explicit_nonces();
            Ok((keys, tx.into_secret(), Vec::new()))
        }
    }
}

fn take_rx(rx: Receive, socket: Option<BorrowedFd<'_>>) -> Result<RxParts, Error> {
    match rx {
        Receive::User(rx) => {
            let (opener, secret, plaintext, received) = rx.into_parts();
            Ok((opener.into_keys()?, secret, plaintext, received))
        }
        Receive::Kernel(rx) => {
            let keys = read_back(socket, Direction::Rx)?;
            let (secret, plaintext) = rx.into_parts();
            Ok((keys, secret, plaintext, Vec::new()))
        }
    }
}

/// The next keys are the peer's only if the present ones derive from the same secret.
fn check_secret(keys: &TrafficKeys, secret: Option<&TrafficSecret>) -> Result<(), Error> {
    // Of a sealer or an opener that has forgotten it.
    if keys.dangerous_key().is_empty() {
        return Err(RecordError::from(ApiMisuse::KeyLength).into());
    }
    let fits = secret.is_none_or(|secret| {
        let own = secret.keys();
        own.version() == keys.version()
            && own.algorithm() == keys.algorithm()
            && own.dangerous_key() == keys.dangerous_key()
            && own.dangerous_iv() == keys.dangerous_iv()
    });
    match fits {
        true => Ok(()),
        false => Err(RecordError::from(ApiMisuse::SecretDiffers).into()),
    }
}

/// The keys that the kernel holds, with the sequence number of its next record.
fn read_back(socket: Option<BorrowedFd<'_>>, direction: Direction) -> Result<TrafficKeys, Error> {
    socket
        .ok_or(Refusal::NotTcp)
        .and_then(|socket| kernel::read_back(socket, direction))
        .map_err(|refusal| Error::Offload { direction, refusal })
}

/// The socket's own keys and sequence number must be those of the parts: if not, somebody else
/// has used either of them meanwhile.
fn check_same(
    socket: BorrowedFd<'_>,
    direction: Direction,
    keys: &TrafficKeys,
) -> Result<(), Error> {
    let held = read_back(Some(socket), direction)?;
    if held.seq() == keys.seq() && held.dangerous_key() == keys.dangerous_key() {
        Ok(())
    } else {
        Err(Error::unsupported(
            "parts of another connection on a socket that the kernel seals for",
        ))
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
