//! The sending direction, whoever seals.

use std::io::{self, IoSlice};

use underseal_record::{AlertDescription, AlertLevel, Backend, ContentType, Limits, Padding};

use underseal_sys::tls::Direction;

use super::{Engine, KeyUpdateRequest, kernel, user};
use crate::Error;
use crate::buffers::BATCH;
use crate::transport::Transport;

/// The sending direction of a connection. The kernel's variant is the smaller one by far; a box
/// around the user engine's would cost every write a pointer.
pub(crate) enum Transmit {
    User(user::Transmit),
    Kernel(kernel::Transmit),
}

/// Calls the same method of either engine.
macro_rules! either {
    ($self:expr, $tx:ident => $call:expr) => {
        match $self {
            Self::User($tx) => $call,
            Self::Kernel($tx) => $call,
        }
    };
}

impl Transmit {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::User(_) => Engine::User,
            Self::Kernel(_) => Engine::Kernel,
        }
    }

    pub(crate) fn can_update_key(&self) -> bool {
        either!(self, tx => tx.can_update_key())
    }

    /// Why it cannot.
    pub(crate) fn cannot_update_key(&self) -> Error {
        match (self, crate::offload::rekey()) {
            (Self::Kernel(tx), Err(refusal)) if tx.has_secret() => Error::Offload {
                direction: Direction::Tx,
                refusal,
            },
            _ => Error::unsupported("key update on this connection"),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        either!(self, tx => tx.is_closed())
    }

    /// Whether the peer lacks records that were sealed, and cannot be told.
    pub(crate) fn is_broken(&self) -> bool {
        either!(self, tx => tx.is_broken())
    }

    pub(crate) fn key_updates(&self) -> u32 {
        either!(self, tx => tx.key_updates)
    }

    /// Goes on counting from `n`.
    pub(crate) fn set_key_updates(&mut self, n: u32) {
        either!(self, tx => tx.key_updates = n);
    }

    /// Bytes that the socket has not taken yet: sealed ones, or control messages to be sealed.
    pub(crate) fn pending_len(&self) -> usize {
        either!(self, tx => tx.pending_len())
    }

    pub(crate) fn limits(&self) -> Limits {
        either!(self, tx => tx.limits())
    }

    pub(crate) fn lower_limits(&mut self, limits: Limits) {
        either!(self, tx => tx.lower_limits(limits));
    }

    /// Bounds what waits for the socket; the kernel's socket has a bound of its own.
    pub(crate) fn limit_buffer(&mut self, most: usize) {
        if let Self::User(tx) = self {
            tx.limit_buffer(most);
        }
    }

    pub(crate) fn max_plaintext(&self) -> usize {
        either!(self, tx => tx.max_plaintext())
    }

    pub(crate) fn padding(&self) -> Padding {
        match self {
            Self::User(tx) => tx.sealer.padding(),
            Self::Kernel(_) => Padding::None,
        }
    }

    /// How records are padded from now on; the kernel never pads.
    pub(crate) fn set_padding(&mut self, padding: Padding) -> Result<(), Error> {
        match self {
            Self::User(tx) => tx.sealer.set_padding(padding),
            Self::Kernel(_) if padding == Padding::None => {}
            Self::Kernel(_) => return Err(Error::unsupported("padding by the kernel engine")),
        }
        Ok(())
    }

    /// Which AEAD library seals; `None` if the kernel does.
    pub(crate) fn backend(&self) -> Option<Backend> {
        match self {
            Self::User(tx) => Some(tx.sealer.backend()),
            Self::Kernel(_) => None,
        }
    }

    /// Fails if the direction is closed, once the alert that closed it has been sent.
    pub(crate) fn ensure_open(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        match self.is_closed() {
            true => either!(self, tx => tx.ready(transport).map(drop)),
            false => Ok(()),
        }
    }

    /// Seals and sends as much of `slices` as one call takes; returns the plaintext bytes taken.
    /// `WouldBlock` only if nothing was taken. With `more` the last record stays open for what
    /// comes next.
    pub(crate) fn write(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &mut [IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        match self {
            Self::User(tx) => tx.write(transport, content_type, slices, more),
            Self::Kernel(tx) => tx.write(transport, content_type, slices, more),
        }
    }

    /// As [`write`](Self::write), for a caller that comes with more at once: what is small may wait
    /// for [`send_gathered`](Self::send_gathered). The kernel is never told to wait.
    pub(crate) fn gather(
        &mut self,
        transport: &mut impl Transport,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<usize> {
        if let Self::User(tx) = self {
            let taken = tx.gather(slices, BATCH)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        self.write(transport, ContentType::APPLICATION_DATA, slices, false)
    }

    /// Sends what [`gather`](Self::gather) left behind, as far as the socket takes it.
    pub(crate) fn send_gathered(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        match self {
            Self::User(tx) => tx.send_gathered(transport),
            Self::Kernel(_) => Ok(()),
        }
    }

    /// Sends all that was sealed, and closes the record that `more` left open.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        either!(self, tx => tx.flush(transport))
    }

    /// Asks for a KeyUpdate before the next record of data, which is queued as soon as nothing is
    /// pending, or by [`queue_key_update`](Self::queue_key_update).
    pub(crate) fn want_key_update(&mut self, request: KeyUpdateRequest) {
        either!(self, tx => tx.want_key_update(request));
    }

    /// Asks for a warning, which is sent as soon as nothing is pending.
    pub(crate) fn want_warning(&mut self, description: AlertDescription) {
        either!(self, tx => tx.want_warning(description));
    }

    /// Queues the KeyUpdate that is wanted, if there is one, behind what is pending.
    pub(crate) fn queue_key_update(&mut self) -> Result<(), Error> {
        match self {
            Self::User(tx) => tx.queue_key_update(),
            Self::Kernel(tx) => {
                tx.queue_key_update();
                Ok(())
            }
        }
    }

    /// Queues an alert behind what is pending. A fatal one, and close_notify, close the direction.
    pub(crate) fn queue_alert(&mut self, level: AlertLevel, description: AlertDescription) {
        either!(self, tx => tx.queue_alert(level, description));
    }

    /// Queues close_notify, which closes the direction, behind all that was taken: a KeyUpdate that
    /// is wanted, too.
    pub(crate) fn queue_close_notify(&mut self) {
        // A key that may not be replaced may still seal the end.
        let _ = self.queue_key_update();
        self.queue_alert(AlertLevel::Warning, AlertDescription::CLOSE_NOTIFY);
    }

    /// A call that received failed, and took the error off the socket: it may be that the peer has
    /// left, of which a kernel that seals tells once only.
    pub(crate) fn suspect_departure(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.look_for_departure();
        }
    }

    /// Has the next call that sends look whether the peer has left.
    pub(crate) fn look_for_departure(&mut self) {
        if let Self::Kernel(tx) = self {
            tx.suspect_departure();
        }
    }

    /// Refuses all further writes: the peer is known to be gone.
    pub(crate) fn close_silently(&mut self) {
        either!(self, tx => tx.close_silently());
    }
}
