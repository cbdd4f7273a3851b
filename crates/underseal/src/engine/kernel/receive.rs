//! The receiving direction of a kernel TLS socket.

use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::net::RecvFlags;
use rustix::net::sockopt::Timeout;
use underseal_record::{
    ContentType, MAX_PLAINTEXT, PeerMisbehaved as Misbehaved, ProtocolVersion, TrafficSecret,
};
use underseal_sys::Errno;
use underseal_sys::message::{self, Received};
use underseal_sys::tls::Direction;

use super::keys;
use crate::Error;
use crate::backoff::Backoff;
use crate::buffers::{self, Residue};
use crate::engine::{Filled, Record, Spliced};
use crate::splice;
use crate::transport::Transport;

/// Plaintext asked of the socket at least, so that small reads do not cost a system call each.
const LEAST: usize = 4 * MAX_PLAINTEXT;

/// The receiving direction of a kernel TLS socket. The kernel owns the sequence number, and all
/// ciphertext.
pub(crate) struct Receive {
    version: ProtocolVersion,
    /// What the next keys derive from; TLS 1.2 has none.
    secret: Option<TrafficSecret>,
    /// Plaintext that was received and not read.
    plaintext: Residue,
    /// Why the next record does not open, if a call that sends has taken that off the socket.
    error: Option<Errno>,
    pub(crate) key_updates: u32,
}

impl Receive {
    /// The direction whose keys the kernel has taken over. `plaintext` was opened before that.
    pub(crate) fn new(
        version: ProtocolVersion,
        secret: Option<TrafficSecret>,
        plaintext: &[u8],
    ) -> Self {
        Self {
            version,
            secret,
            plaintext: Residue::copy_of(plaintext),
            error: None,
            key_updates: 0,
        }
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.version
    }

    pub(crate) fn plaintext(&self) -> &[u8] {
        self.plaintext.bytes()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.plaintext.advance(n);
    }

    /// Puts plaintext where there is none left.
    pub(crate) fn put_back(&mut self, plaintext: &[u8]) {
        self.plaintext.put_back(plaintext);
    }

    /// Keeps the error of a record that somebody else took off the socket, for the next read.
    pub(crate) fn keep_error(&mut self, errno: Errno) {
        self.error = Some(errno);
    }

    /// Whether it keeps one: the socket gives nothing more and does not say so.
    pub(crate) fn keeps_error(&self) -> bool {
        self.error.is_some()
    }

    /// Why nothing more will be opened, if no reader was told yet.
    pub(crate) fn untold_failure(&self) -> Option<Error> {
        let errno = self.error?;
        let of_socket = |_| Error::refused("going on behind a failure of the socket", errno);
        Some(failure(errno).unwrap_or_else(of_socket))
    }

    /// Gives the lent buffer back unless much is left in it.
    pub(crate) fn settle(&mut self) {
        self.plaintext.settle(MAX_PLAINTEXT);
    }

    pub(crate) fn into_parts(self) -> (Option<TrafficSecret>, Vec<u8>) {
        let plaintext = self.plaintext.bytes().to_vec();
        (self.secret, plaintext)
    }

    /// Goes on under the next key, after a KeyUpdate of the peer.
    pub(crate) fn update_key(&mut self, socket: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let (Some(secret), Some(socket)) = (&mut self.secret, socket) else {
            return Err(Error::unsupported("key update on this connection"));
        };
        secret.update();
        keys::replace(socket, Direction::Rx, &secret.keys()).map_err(|refusal| Error::Offload {
            direction: Direction::Rx,
            refusal,
        })?;
        self.key_updates = self.key_updates.saturating_add(1);
        Ok(())
    }

    /// Receives data of some records, or one control record. There must be no plaintext left.
    /// Data goes to `out` first; what it has no room for is [`plaintext`](Self::plaintext).
    pub(crate) fn fill(
        &mut self,
        transport: &mut impl Transport,
        out: &mut [u8],
    ) -> io::Result<Filled> {
        let mut spill = (out.len() < LEAST).then(buffers::lend);
        let spill_len = LEAST.saturating_sub(out.len());
        let spill_slice = spill
            .as_deref_mut()
            .map_or(&mut [][..], |spill| &mut spill[..spill_len]);
        let mut slices = [IoSliceMut::new(out), IoSliceMut::new(spill_slice)];
        let received = match self.error {
            None => transport.when_readable(|at| receive(at, &mut slices, RecvFlags::empty())),
            // Nothing comes that could be waited for.
            Some(error) => received_before(error, transport.socket(), &mut slices),
        };
        let received = match received {
            Ok(received) => received,
            Err(errno) => return failure(errno).map(Filled::Failed),
        };
        let Some(content_type) = received.content_type.map(ContentType) else {
            return Ok(Filled::Eof);
        };
        let in_out = received.len.min(out.len());
        let spilled = received.len - in_out;
        if content_type != ContentType::APPLICATION_DATA {
            let spilled = spill.as_deref().map_or(&[][..], |spill| &spill[..spilled]);
            let payload = [&out[..in_out], spilled].concat();
            return Ok(control(content_type, payload, received));
        }
        if let Some(spill) = spill {
            self.plaintext = Residue::new(spill, 0..spilled, 0);
        }
        Ok(Filled::Record(Record::Data(in_out)))
    }

    /// Moves up to `len` bytes of data into `pipe` without copying them. `Moved(0)` is the end of
    /// the stream; `None` if the next record is not data.
    #[doc(alias = "splice")]
    pub(crate) fn splice_to(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Option<Spliced>> {
        if self.keeps_error() {
            return Ok(None);
        }
        let mut backoff = Backoff::default();
        loop {
            let spliced =
                transport.when_readable(|socket| splice::out_of_socket(socket, pipe, len));
            match spliced {
                Ok(spliced) => return Ok(Some(spliced)),
                Err(Errno::AGAIN) => transport.wait_as(&mut backoff, Timeout::Recv)?,
                // A control record, a part of a KeyUpdate before it, or a record that does not open:
                // recvmsg tells which.
                Err(errno) if does_not_open(errno) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
        }
    }
}

/// Receives from a socket that may open records; see [`message::receive`].
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> Result<Received, Errno> {
    match message::receive(socket, slices, flags) {
        // The kernel stops at the first byte of a KeyUpdate. If the message goes on in another
        // record, that one is still under the old key.
        Err(Errno::KEYEXPIRED) => {
            keys::resume(socket).and_then(|()| message::receive(socket, slices, flags))
        }
        received => received,
    }
}

/// Receives what came before a record that does not open: the `error` of that if there is nothing.
fn received_before(
    error: Errno,
    socket: Option<BorrowedFd<'_>>,
    slices: &mut [IoSliceMut<'_>],
) -> Result<Received, Errno> {
    let socket = socket.ok_or(Errno::NOTSOCK)?;
    match receive(socket, slices, RecvFlags::DONTWAIT) {
        Ok(received) if received.content_type.is_some() => Ok(received),
        _ => Err(error),
    }
}

/// Whether the kernel has a record that it gives nobody: it does not open, or a read is no way to
/// have it.
pub(crate) fn does_not_open(errno: Errno) -> bool {
    is_bad_record(errno) || errno == Errno::KEYEXPIRED
}

/// Whether a record that does not open may be what an error of the socket is about.
pub(crate) fn is_bad_record(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::BADMSG | Errno::MSGSIZE)
}

fn control(content_type: ContentType, payload: Vec<u8>, received: Received) -> Filled {
    let needs_content = matches!(content_type, ContentType::ALERT | ContentType::HANDSHAKE);
    if payload.is_empty() && needs_content {
        return Filled::Failed(misbehaved(Misbehaved::EmptyRecord(content_type)));
    }
    debug_assert!(
        received.len <= MAX_PLAINTEXT,
        "a control record comes alone"
    );
    Filled::Record(Record::Control(content_type, payload))
}

/// Takes the error off the socket that a record which does not open left there. It would be the
/// result of the next send.
#[doc(alias = "SO_ERROR")]
pub(crate) fn take_error(socket: BorrowedFd<'_>) -> Option<Errno> {
    // Reading it is what clears it.
    rustix::net::sockopt::socket_error(socket).ok()?.err()
}

/// What the kernel's errors mean: the failure of a record, or an error of the socket.
fn failure(errno: Errno) -> io::Result<Error> {
    match errno {
        Errno::BADMSG => Ok(misbehaved(Misbehaved::BadRecordMac)),
        // The kernel does not say how long the record was.
        Errno::MSGSIZE => Ok(misbehaved(Misbehaved::RecordOverflow(usize::from(
            u16::MAX,
        )))),
        Errno::INVAL => Ok(misbehaved(Misbehaved::InvalidVersion(0))),
        errno => Err(errno.into()),
    }
}

fn misbehaved(why: Misbehaved) -> Error {
    underseal_record::Error::from(why).into()
}
