//! An established connection, over whatever it reads and writes.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::engine::Connection;

/// An established TLS connection: what [`Stream`](crate::Stream), over tokio's streams, and
/// [`blocking::TlsStream`](crate::blocking::TlsStream), over std's, have in common. `W` is which of
/// both it is.
pub struct Established<IO, Session, W> {
    pub(crate) io: IO,
    pub(crate) connection: Box<Inner<Session>>,
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "a blocking stream has no state of its own")
    )]
    pub(crate) way: W,
}

/// A connection with its session, in one block: whoever holds a stream, as the future of each function
/// that it is handed to does, holds no more than where they are.
pub(crate) struct Inner<Session> {
    pub(crate) session: Session,
    connection: Connection,
}

impl<Session> Deref for Inner<Session> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl<Session> DerefMut for Inner<Session> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// How a connection is driven, which says in whose types its TCP socket is found.
pub trait Way: sealed::Sealed + Default {
    #[doc(hidden)]
    fn socket_of<IO>(io: &IO) -> Option<BorrowedFd<'_>>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

impl<IO, Session, W: Way> Established<IO, Session, W> {
    pub(crate) fn new(io: IO, session: Session, connection: Connection) -> Self {
        Self {
            io,
            connection: Box::new(Inner {
                session,
                connection,
            }),
            way: W::default(),
        }
    }

    /// The stream below and what the handshake agreed on.
    pub fn get_ref(&self) -> (&IO, &Session) {
        self.connection.tell();
        (&self.io, &self.connection.session)
    }

    /// The stream below and what the handshake agreed on. Reading from or writing to the stream
    /// below breaks the connection.
    pub fn get_mut(&mut self) -> (&mut IO, &mut Session) {
        self.connection.tell();
        (&mut self.io, &mut self.connection.session)
    }

    /// Key material of the connection: see
    /// [`CommonState::export_keying_material`](crate::CommonState::export_keying_material).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<T, rustls::Error>
    where
        Session: crate::Movable,
    {
        let common = self.connection.session.common();
        common.export_keying_material(output, label, context)
    }

    /// The channel binding `tls-exporter`: see
    /// [`CommonState::channel_binding`](crate::CommonState::channel_binding).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn channel_binding(&self) -> Result<[u8; 32], rustls::Error>
    where
        Session: crate::Movable,
    {
        self.connection.session.common().channel_binding()
    }

    /// Ends TLS without a word to the peer, and gives back what is left.
    pub fn into_inner(self) -> (IO, Session) {
        (self.io, self.connection.session)
    }

    /// Sealed bytes that the stream below has not taken yet; `flush` sends them.
    pub fn pending_bytes(&self) -> usize {
        self.connection.tx.pending_len()
    }

    /// How records are padded from now on (TLS 1.3; none by default).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] if the kernel seals: it never pads. Choose [`crate::Offload::User`] for
    /// streams that are to be padded.
    pub fn set_padding(&mut self, padding: underseal_record::Padding) -> Result<(), crate::Error> {
        self.connection.tx.set_padding(padding)
    }

    /// Lowers the number of records that one key may seal, and with it when the automatic key
    /// update comes. Limits cannot be raised over those of the suite.
    pub fn lower_limits(&mut self, limits: underseal_record::Limits) {
        self.connection.tx.lower_limits(limits);
    }

    /// Which engine seals and which opens, right now.
    pub fn engines(&self) -> crate::Engines {
        self.connection.engines()
    }

    /// Whether splicing in `direction` (`splice_from` is to send, `splice_to` to receive) moves
    /// pages that this process never sees: the kernel has the direction or, to send, will take
    /// it on for them. Where it does not, a splice goes through a buffer, and reading or
    /// writing does the same without a pipe.
    ///
    /// A kernel that refuses the direction when it comes to it makes this `false` from then on.
    #[doc(alias = "splice")]
    pub fn splices(&mut self, direction: crate::Direction) -> bool {
        self.connection.splices(direction)
    }

    /// Chooses the engine of each direction anew. A direction moves into the kernel at once if
    /// nothing of it is buffered, otherwise when that has been sent or read; [`engines`] tells.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Offload`] if the kernel was asked for and refuses, or if it was not asked for
    /// and holds the direction already.
    ///
    /// [`engines`]: Self::engines
    pub fn set_offload(
        &mut self,
        offloads: impl Into<crate::Offloads>,
    ) -> Result<(), crate::Error> {
        let socket = W::socket_of(&self.io);
        let offloads = offloads.into();
        self.connection.offload(socket, offloads)
    }

    /// Attaches a program to one direction: it sees the application data that is written before
    /// it is sealed, or what is received after it was opened, and decides. Control records go
    /// past it. It is the same for either engine.
    ///
    /// A write that the program refuses fails with `PermissionDenied`
    /// ([`crate::Error::Denied`]), as [`Filter`](crate::message::Filter) says; a write of which
    /// a part passes returns the length of that part, and the next one fails. Received data
    /// that it drops is never read. A program that ends the stream, as
    /// [`ByMessage`](crate::message::ByMessage) does where it cannot be parsed, ends it with an
    /// error that says why ([`Denied::Ended`](crate::message::Denied::Ended)): for a reader
    /// behind all that passed before, for a writer at each write. What it redirects goes to another stream, see
    /// [`redirect_peer`](Self::redirect_peer). `shutdown` has it judge what it holds; if it
    /// refuses that, `shutdown` fails once and sends no close_notify, so that what the peer got
    /// does not look complete.
    ///
    /// Data that was received already and not read is judged too. 0-RTT data is not part of
    /// the stream, and is not.
    ///
    /// # Errors
    ///
    /// [`crate::Error::ProgramAttached`] if the direction has one, [`crate::Error::CorkLimit`]
    /// if the program may wait for longer messages than the filter holds.
    #[doc(alias = "BPF_SK_MSG_VERDICT")]
    #[doc(alias = "BPF_SK_SKB_VERDICT")]
    pub fn attach<P>(
        &mut self,
        filter: underseal_message::Filter<P, underseal_message::Peer>,
    ) -> Result<(), crate::Error>
    where
        P: underseal_message::Program<underseal_message::Peer> + Send + 'static,
    {
        self.connection.attach(filter)
    }

    /// Takes the program of a direction away, if there is one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::ProgramHoldsData`] if it holds data that was not judged, or `flush` has
    /// not sent. [`crate::Error::Denied`] if it panicked or ended the stream of what is sent:
    /// that direction is over, and would go on without it. (A receiving direction that is over
    /// stays so.)
    pub fn detach(
        &mut self,
        direction: underseal_message::MessageDirection,
    ) -> Result<(), crate::Error> {
        self.connection.detach(direction)
    }

    /// What programs of other streams redirect to this one with: data to be sent here (sealed
    /// with this stream's keys) or to be read here. Up to `limit` bytes wait in each direction;
    /// then the other stream's task waits, and its thread blocks if it is a blocking stream. The
    /// limit of the first call holds. A stream that waits sends what waits for it here first, so
    /// that a program may redirect to its own stream. What it redirects there to be read only the
    /// stream's own owner can read: a write that finds no room for it takes less, or is
    /// `WouldBlock`, also of a blocking stream.
    ///
    /// This stream takes what waits at its next read, write or flush, before its own data and
    /// past its own programs. A tokio stream that is being read is woken for it; a
    /// blocking one is not. A direction that has ended takes
    /// nothing.
    #[doc(alias = "bpf_msg_redirect_map")]
    #[doc(alias = "bpf_sk_redirect_map")]
    pub fn redirect_peer(&mut self, limit: usize) -> underseal_message::Peer {
        self.connection.redirect_peer(limit)
    }

    /// What went over the connection since its handshake.
    pub fn counters(&self) -> crate::Counters {
        self.connection.counters()
    }

    /// Which AEAD library seals. `None` if the kernel does.
    pub fn backend(&self) -> Option<underseal_record::Backend> {
        self.connection.tx.backend()
    }

    /// Lets a network card that seals read file pages while `send_file` sends them, instead of
    /// copies. Without such a card it does nothing.
    ///
    /// **Hazard**: a file that is written to while it is sent breaks the connection, because a
    /// retransmission is sealed from other bytes under the same nonce; who sees both learns about
    /// the key stream. Use it for files that nobody writes.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] unless the kernel seals, or with what the kernel said.
    #[doc(alias = "TLS_TX_ZEROCOPY_RO")]
    pub fn set_zerocopy_send_file(&mut self, on: bool) -> std::io::Result<()> {
        let socket = W::socket_of(&self.io);
        let socket = self
            .connection
            .kernel_socket(underseal_sys::tls::Direction::Tx, socket)?;
        let set = underseal_sys::tls::set_zerocopy_ro(socket, on);
        Ok(set.map_err(|errno| crate::Error::refused("TLS_TX_ZEROCOPY_RO", errno))?)
    }

    /// Promises the kernel that the peer does not pad its records (TLS 1.3): it then opens them
    /// straight into the reader's memory.
    ///
    /// **Hazard**: a record that is padded after all, and every control record, is opened twice:
    /// a peer can make its records cost double.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unsupported`] unless the kernel opens, or with what the kernel said.
    #[doc(alias = "TLS_RX_EXPECT_NO_PAD")]
    pub fn set_expect_no_padding(&mut self, on: bool) -> std::io::Result<()> {
        let socket = W::socket_of(&self.io);
        let socket = self
            .connection
            .kernel_socket(underseal_sys::tls::Direction::Rx, socket)?;
        let set = underseal_sys::tls::set_expect_no_pad(socket, on);
        Ok(set.map_err(|errno| crate::Error::refused("TLS_RX_EXPECT_NO_PAD", errno))?)
    }

    /// Takes the stream apart: the stream below, the keys and sequence numbers of both directions,
    /// and the bytes between them and the application.
    ///
    /// # Errors
    ///
    /// If the connection has failed, or records were lost that it sealed: its keys protect
    /// nothing any more. [`crate::Error::ProgramAttached`] while it has a program, which would
    /// stay behind. [`crate::Error::Unsupported`] where something waits that parts cannot hold:
    /// a control message that came in part, a record for `read_record`, data that others
    /// redirected here, and what only the kernel can seal, before `flush`. The stream is lost
    /// then.
    pub fn into_parts(self) -> Result<crate::Parts<IO, Session>, crate::Error> {
        let Inner {
            session,
            connection,
        } = *self.connection;
        crate::Parts::take(self.io, session, connection, W::socket_of)
    }

    /// Builds a stream from parts.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Record`] if the keys of the two directions do not fit together, keys do not
    /// derive from their secret, or `max_plaintext` is out of range.
    /// [`crate::Error::Offload`] if a kernel held a direction, and it cannot be told whether
    /// `io` leads to its socket, see [`crate::Parts::assert_another_connection`]; or if the
    /// kernel was asked for, before the stream was taken apart, and refuses.
    /// [`crate::Error::Unsupported`] if the kernel holds a direction of `io` with other keys
    /// or another sequence number.
    pub fn from_parts(parts: crate::Parts<IO, Session>) -> Result<Self, crate::Error> {
        let (io, session, connection) = parts.put_together(W::socket_of)?;
        Ok(Self::new(io, session, connection))
    }
}

impl<IO: AsFd, Session, W> AsFd for Established<IO, Session, W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<IO: AsRawFd, Session, W> AsRawFd for Established<IO, Session, W> {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl<IO, Session, W> std::fmt::Debug for Established<IO, Session, W>
where
    IO: std::fmt::Debug,
    Session: std::fmt::Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .field("session", &self.connection.session)
            .finish_non_exhaustive()
    }
}
