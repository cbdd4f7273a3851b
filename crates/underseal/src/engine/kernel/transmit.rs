//! The sending direction of a kernel TLS socket.

mod counting;
mod source;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use underseal_record::{
    AlertDescription, AlertLevel, ApiMisuse, ContentType, Error as RecordError, Limits, SeqNo,
    TrafficSecret,
};
use underseal_sys::tls::Direction;
use underseal_sys::{Errno, message};

use super::calls::DONTWAIT;
use super::departure::Departure;
use super::{calls, keys, unpushed};
use crate::Error;
use crate::engine::{KeyUpdateRequest, MAX_SLICES, Spliced};
use crate::offload::Refusal;
use crate::splice;
use crate::transport::Transport;

/// Bytes of a file that one system call is asked for at most: as many are kept by a kernel whose
/// peer leaves meanwhile, see [`Departure`]. A sendfile that ends pushes its last record out, for
/// some 20 000 instructions, which are few beside those that seal so much.
const MAX_SENDFILE: usize = 4 * 1024 * 1024;

/// Bytes of a pipe that one system call moves at most: the call does not return before, and other
/// tasks of the thread wait for it.
pub(crate) const PIECE: usize = 1024 * 1024;

/// A message that waits until the socket takes it.
enum Queued {
    Alert([u8; 2]),
    KeyUpdate(KeyUpdateRequest),
}

/// The sending direction of a kernel TLS socket.
///
/// 1. The kernel owns the sequence number. `records` is never lower than it.
/// 2. Control messages go out in the order they were queued, before any later data.
pub(crate) struct Transmit {
    limits: Limits,
    max_plaintext: usize,
    /// What the next keys derive from; TLS 1.2 has none.
    secret: Option<TrafficSecret>,
    /// At least the number of the kernel's next record.
    records: u64,
    queue: VecDeque<Queued>,
    /// A KeyUpdate that is to be queued.
    key_update: Option<KeyUpdateRequest>,
    /// A warning that answers the peer: one for any number of requests.
    warning: Option<AlertDescription>,
    /// The kernel may hold data in a record that it has not closed.
    open: bool,
    closed: bool,
    /// Nothing that the peer could open can follow.
    broken: bool,
    departure: Departure,
    pub(crate) key_updates: u32,
}

impl Transmit {
    /// The direction whose keys the kernel has taken over.
    pub(crate) fn new(
        seq: SeqNo,
        secret: Option<TrafficSecret>,
        limits: Limits,
        max_plaintext: usize,
        closed: bool,
    ) -> Self {
        Self {
            limits,
            max_plaintext,
            secret,
            records: seq.0,
            queue: VecDeque::new(),
            key_update: None,
            warning: None,
            open: false,
            closed,
            broken: false,
            departure: Departure::default(),
            key_updates: 0,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn lower_limits(&mut self, limits: Limits) {
        self.limits = self.limits.lowered_to(limits);
    }

    pub(crate) fn max_plaintext(&self) -> usize {
        self.max_plaintext
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the peer lacks records that were sealed, and cannot be told.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    pub(crate) fn can_update_key(&self) -> bool {
        self.secret.is_some() && crate::offload::rekey().is_ok()
    }

    /// Whether the kernel may hold data in a record that it has not closed.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether anything that was taken is not sealed yet.
    pub(crate) fn holds_anything(&self) -> bool {
        let holds_control = self.key_update.is_some() || self.warning.is_some();
        self.open || !self.queue.is_empty() || holds_control
    }

    /// Bytes of control messages that wait for the socket.
    pub(crate) fn pending_len(&self) -> usize {
        self.queue.iter().map(Queued::len).sum()
    }

    pub(crate) fn into_secret(self) -> Option<TrafficSecret> {
        self.secret
    }

    /// Sends `slices`; see the user engine's `write`.
    pub(crate) fn write(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        if content_type == ContentType::CHANGE_CIPHER_SPEC {
            return Err(Error::from(RecordError::from(ApiMisuse::ForbiddenRecord)).into());
        }
        let allowed = counting::bytes_of(self.ready(transport)?, self.max_plaintext);
        let mut own = [IoSlice::new(&[]); MAX_SLICES];
        let (slices, total) = first_bytes(slices, allowed, &mut own);
        if total == 0 {
            return Ok(0);
        }
        let data = content_type == ContentType::APPLICATION_DATA;
        let sent = self.call(transport, |socket| match (data, more) {
            (true, true) => message::send(socket, slices, DONTWAIT | SendFlags::MORE),
            (true, false) => message::send(socket, slices, DONTWAIT),
            (false, _) => message::send_typed(socket, content_type.0, slices, DONTWAIT),
        });
        let sent = self.checked(sent)?;
        self.departure.taken(sent, total);
        self.open = if data && more {
            true
        } else {
            self.open && sent < total
        };
        Ok(sent)
    }

    /// Sends up to `len` bytes of `file` from `offset`, out of the page cache. Zero at its end. On
    /// a blocking socket the call does not return before, unless its time limit is over for a part
    /// of them: the kernel waits for each anew, as in any sendfile(2).
    #[doc(alias = "sendfile")]
    pub(crate) fn send_file(
        &mut self,
        transport: &mut impl Transport,
        file: &File,
        offset: u64,
        len: u64,
        fill: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let len = len.min(MAX_SENDFILE as u64) as usize;
        // While an error may come.
        let waits_before = transport.may_get_error() && transport.waits()?;
        let len = self.ready_for_pages(transport, len, waits_before)?;
        self.departure.suspect();
        let sent = self.call_for_pages(transport, len, |socket| {
            retry_on_intr(|| {
                let mut at = offset;
                rustix::fs::sendfile(socket, file, Some(&mut at), len)
            })
        });
        // sendfile closes the last record, but where it could not tell that it was the last.
        self.open = sent != Ok(len);
        match sent {
            Err(errno) if !is_shortage(errno) && !source::is_of_socket(errno) => {
                self.send_unspliced(transport, len, errno, fill)
            }
            sent => self.checked_pages(sent),
        }
    }

    /// Sends up to `len` bytes out of `pipe`, without copying them.
    #[doc(alias = "splice")]
    pub(crate) fn splice_from(
        &mut self,
        transport: &mut impl Transport,
        pipe: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<Spliced> {
        let mut len = len.min(PIECE);
        let waits = transport.waits()?;
        if waits {
            // Room is waited for only with something to send.
            if !splice::is_ready(pipe, PollFlags::IN) {
                return Ok(Spliced::PipeNotReady);
            }
            len = splice::at_hand(pipe, len);
        }
        let len = self.ready_for_pages(transport, len, waits)?;
        self.departure.suspect();
        let spliced = self.call_for_pages(transport, len, |socket| {
            splice::into_socket(pipe, socket, len)
        });
        self.open = true;
        match spliced {
            Ok(Spliced::PipeNotReady) => Ok(Spliced::PipeNotReady),
            Ok(Spliced::Moved(n)) => self.checked_pages(Ok(n)).map(Spliced::Moved),
            Err(errno) if splice::is_other_end(pipe, PollFlags::IN) => Err(errno.into()),
            Err(errno) => self.checked_pages(Err(errno)).map(Spliced::Moved),
        }
    }

    /// Sends the queue, and what the kernel holds in an open record.
    pub(crate) fn flush(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.look_for_peer(transport)?;
        self.send_queue(transport)?;
        if self.open {
            let data = ContentType::APPLICATION_DATA.0;
            let sent = self.call(transport, |socket| {
                message::send_typed(socket, data, &[], DONTWAIT)
            });
            self.checked(sent)?;
            self.open = false;
        }
        Ok(())
    }

    pub(crate) fn want_key_update(&mut self, request: KeyUpdateRequest) {
        if self.key_update != Some(KeyUpdateRequest::Requested) {
            self.key_update = Some(request);
        }
    }

    /// Asks for a warning; see the user engine's `want_warning`.
    pub(crate) fn want_warning(&mut self, description: AlertDescription) {
        self.warning = Some(description);
    }

    /// Queues the KeyUpdate that is wanted, if there is one.
    pub(crate) fn queue_key_update(&mut self) {
        if let Some(request) = self.key_update.take()
            && !self.closed
        {
            self.queue.push_back(Queued::KeyUpdate(request));
        }
    }

    /// Queues an alert. A fatal one, and close_notify, close the direction.
    pub(crate) fn queue_alert(&mut self, level: AlertLevel, description: AlertDescription) {
        if self.closed {
            return;
        }
        self.closed = level == AlertLevel::Fatal || description == AlertDescription::CLOSE_NOTIFY;
        let alert = [level.to_wire(), description.0];
        self.queue.push_back(Queued::Alert(alert));
    }

    /// Refuses all further writes: the peer is known to be gone.
    pub(crate) fn close_silently(&mut self) {
        self.closed = true;
        self.queue.clear();
    }

    /// Has the next call that sends look for the peer: somebody else was told that it left.
    pub(crate) fn suspect_departure(&mut self) {
        self.departure.suspect();
    }

    /// Takes nothing more: the socket did not do what the peer was told, or may have done half.
    fn break_off(&mut self) {
        self.broken = true;
        self.close_silently();
    }

    /// Sends what is due before data, see the user engine's `ready`; returns how many records of it
    /// the key may still seal.
    pub(crate) fn ready(&mut self, transport: &mut impl Transport) -> io::Result<u64> {
        if self.closed {
            self.send_queue(transport)?;
            return Err(Error::WriteAfterClose.into());
        }
        self.look_for_peer(transport)?;
        self.send_queue(transport)?;
        let bound = match self.can_update_key() {
            true => self.limits.before_key_update(),
            false => self.limits.hard,
        };
        if self.records >= bound {
            self.count_exactly(transport)?;
        }
        if self.records >= bound {
            if !self.can_update_key() || self.records >= self.limits.hard {
                return Err(Error::from(RecordError::ConfidentialityLimit).into());
            }
            self.queue
                .push_back(Queued::KeyUpdate(KeyUpdateRequest::NotRequested));
            self.send_queue(transport)?;
        }
        Ok(bound.saturating_sub(self.records).max(1))
    }

    /// Fails if the peer has left, and the kernel may not have said so.
    fn look_for_peer(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let is_done = self.closed && self.queue.is_empty();
        if self.broken || is_done {
            return Ok(());
        }
        self.departure.look(transport.socket()).map_err(|errno| {
            self.break_off();
            errno.into()
        })
    }

    /// Sends what is due before `len` bytes of pages; returns how many of them one call may send. Room
    /// for them is waited for before a call that would wait in the kernel and must not.
    fn ready_for_pages(
        &mut self,
        transport: &mut impl Transport,
        len: usize,
        waits_before: bool,
    ) -> io::Result<usize> {
        let len = len.min(counting::pages_of(self.ready(transport)?));
        let Some(socket) = transport.socket() else {
            return Err(Errno::NOTSOCK.into());
        };
        let room = match waits_before {
            true => calls::room(socket, len)?,
            false => unpushed::room(socket, len)?,
        };
        if room < len {
            // A record that was left open would be closed, and not pushed, in the middle.
            self.flush(transport)?;
        }
        if waits_before {
            calls::wait_for_room(transport)?;
        }
        Ok(room)
    }

    /// Sends the queue, then what answers the peer: one answer to all that it asked for while the
    /// socket was full.
    fn send_queue(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        self.send_queued(transport)?;
        if let Some(description) = self.warning.take() {
            self.queue_alert(AlertLevel::Warning, description);
        }
        self.queue_key_update();
        self.send_queued(transport)
    }

    fn send_queued(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        while let Some(queued) = self.queue.front() {
            match *queued {
                Queued::Alert(alert) => self.send_control(transport, ContentType::ALERT, &alert)?,
                Queued::KeyUpdate(request) => self.send_key_update(transport, request)?,
            }
            self.queue.pop_front();
        }
        Ok(())
    }

    fn send_key_update(
        &mut self,
        transport: &mut impl Transport,
        request: KeyUpdateRequest,
    ) -> io::Result<()> {
        // Asked before the message is out: after it there is no way back.
        crate::offload::rekey().map_err(refused)?;
        let (Some(secret), Some(socket)) = (&self.secret, transport.socket()) else {
            return Err(Error::unsupported("key update on this connection").into());
        };
        keys::check_own(socket, Direction::Tx, secret).map_err(refused)?;
        self.send_control(transport, ContentType::HANDSHAKE, &request.message())?;
        // The peer expects the next key: whatever fails from here on, nothing can follow.
        let replaced = match (&mut self.secret, transport.socket()) {
            (Some(secret), Some(socket)) => {
                secret.update();
                keys::replace(socket, Direction::Tx, &secret.keys())
            }
            _ => Err(Refusal::NotTcp),
        };
        if let Err(refusal) = replaced {
            self.break_off();
            return Err(refused(refusal).into());
        }
        self.records = 0;
        self.key_updates = self.key_updates.saturating_add(1);
        Ok(())
    }

    /// Sends one control message: it fits one record, so the socket takes all of it or nothing.
    fn send_control(
        &mut self,
        transport: &mut impl Transport,
        content_type: ContentType,
        payload: &[u8],
    ) -> io::Result<()> {
        let slices = [IoSlice::new(payload)];
        let sent = self.call(transport, |socket| {
            message::send_typed(socket, content_type.0, &slices, DONTWAIT)
        });
        self.checked(sent)?;
        self.open = false;
        Ok(())
    }
}

impl Queued {
    fn len(&self) -> usize {
        match self {
            Self::Alert(alert) => alert.len(),
            Self::KeyUpdate(request) => request.message().len(),
        }
    }
}

/// Whether a socket says so that is full, or has no memory, and goes on later.
fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS)
}

fn refused(refusal: Refusal) -> Error {
    Error::Offload {
        direction: Direction::Tx,
        refusal,
    }
}

/// The first `limit` bytes of `slices`, as far as `own` has room, and how many they are.
fn first_bytes<'a, 'o>(
    slices: &'a [IoSlice<'_>],
    limit: usize,
    own: &'o mut [IoSlice<'a>; MAX_SLICES],
) -> (&'o [IoSlice<'a>], usize) {
    let (mut total, mut len) = (0, 0);
    for slice in slices.iter().filter(|slice| !slice.is_empty()) {
        if total == limit || len == own.len() {
            break;
        }
        let taken = &slice[..slice.len().min(limit - total)];
        own[len] = IoSlice::new(taken);
        total += taken.len();
        len += 1;
    }
    (&own[..len], total)
}
