//! What is redirected to a socket, on its way there.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::held::Held;
use crate::{Chunk, MessageDirection};

/// Told that it is worth to try again. Closures do: one that wakes a task, unparks a thread, or
/// writes to an eventfd.
///
/// It is called without a lock held, by whichever thread made the room or brought the bytes, and
/// should not block it.
pub trait Notify: Send + Sync {
    /// Wakes whoever waits. It may be called without a reason.
    fn notify(&self);
}

impl<F: Fn() + Send + Sync> Notify for F {
    fn notify(&self) {
        self();
    }
}

/// Why bytes were not redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// So many bytes wait at the target that there is no room for these. The sender is notified
    /// when there is. (The kernel has no such limit, and took 2.36 GB for a reader that did not
    /// read.) As an [`io::Error`]: `WouldBlock`.
    #[error("the target has no room")]
    Full,
    /// The target is closed, or its direction is. As an [`io::Error`]: `BrokenPipe`.
    #[error("the target is closed")]
    Closed,
}

impl From<RedirectError> for io::Error {
    fn from(error: RedirectError) -> Self {
        let kind = match error {
            RedirectError::Full => io::ErrorKind::WouldBlock,
            RedirectError::Closed => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

/// Small pieces are joined up to this size, so that many of them cost no more than their bytes.
const JOINED: usize = 4096;

/// Bytes on their way to one direction of a socket.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes that were accepted and not consumed, those that the inbox took out included.
    bytes: usize,
    is_closed: bool,
    /// Senders that found no room. Nobody keeps a sender that is gone.
    waiting: Vec<Weak<dyn Notify>>,
}

impl Queue {
    fn push(&mut self, bytes: Chunk<'_>) {
        self.bytes += bytes.len();
        let last = match self.chunks.pop_back() {
            Some(last) if last.len() + bytes.len() <= JOINED => Some(last),
            Some(last) => {
                self.chunks.push_back(last);
                None
            }
            None => None,
        };
        let mut chunk = last.unwrap_or_else(|| Vec::with_capacity(bytes.len()));
        bytes
            .slices()
            .for_each(|slice| chunk.extend_from_slice(slice));
        self.chunks.push_back(chunk);
    }

    /// Notes a sender once, and forgets those that are gone.
    fn wait(&mut self, sender: &Arc<dyn Notify>) {
        self.waiting.retain(|other| other.strong_count() > 0);
        let sender = Arc::downgrade(sender);
        if !self.waiting.iter().any(|other| other.ptr_eq(&sender)) {
            self.waiting.push(sender);
        }
    }
}

struct Shared {
    egress: Mutex<Queue>,
    ingress: Mutex<Queue>,
    limit: usize,
    owner: Arc<dyn Notify>,
}

impl Shared {
    fn queue(&self, direction: MessageDirection) -> MutexGuard<'_, Queue> {
        let queue = match direction {
            MessageDirection::Egress => &self.egress,
            MessageDirection::Ingress => &self.ingress,
        };
        // Nothing panics while a queue is locked.
        queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a queue, and wakes its senders if that left it no more than half full, or closed.
    fn relieve(&self, direction: MessageDirection, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue(direction);
        change(&mut queue);
        let waiting = match queue.is_closed || queue.bytes <= self.limit / 2 {
            true => std::mem::take(&mut queue.waiting),
            false => Vec::new(),
        };
        drop(queue);
        let waiting = waiting.iter().filter_map(Weak::upgrade);
        waiting.for_each(|sender| sender.notify());
    }
}

/// The end of redirects that belongs to a socket: what other sockets' programs sent it, in each
/// direction up to a limit. Dropping it closes both.
///
/// # Order
///
/// Redirected bytes come out in the order in which they were accepted; a chunk that is accepted
/// whole stays whole. The owner sends what is here before its own next write, and reads what is
/// here before its own next bytes, each to the end: so what was accepted before a write goes before
/// it, and no write lands within a chunk. (In the kernel a reader meets redirected bytes first, and
/// writers come as they hold the socket's lock.)
pub struct Inbox {
    shared: Arc<Shared>,
    egress: Held,
    ingress: Held,
}

impl Inbox {
    /// An inbox that takes up to `limit` bytes in each direction. `owner` is notified when bytes
    /// come where there were none.
    pub fn new(limit: usize, owner: Arc<dyn Notify>) -> Self {
        let shared = Shared {
            egress: Mutex::default(),
            ingress: Mutex::default(),
            limit,
            owner,
        };
        Self {
            shared: Arc::new(shared),
            egress: Held::default(),
            ingress: Held::default(),
        }
    }

    /// What others redirect to this socket with; it goes into a [`crate::SockMap`] or
    /// [`crate::SockHash`].
    pub fn peer(&self) -> Peer {
        Peer {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether `peer` sends to this inbox.
    pub fn is_of(&self, peer: &Peer) -> bool {
        Arc::ptr_eq(&self.shared, &peer.shared)
    }

    /// The next bytes that the owner has to send (egress) or to read (ingress), the same ones
    /// until they are consumed; empty if there are none now.
    pub fn chunk(&mut self, direction: MessageDirection) -> &[u8] {
        let held = match direction {
            MessageDirection::Egress => &mut self.egress,
            MessageDirection::Ingress => &mut self.ingress,
        };
        if held.is_empty()
            && let Some(chunk) = self.shared.queue(direction).chunks.pop_front()
        {
            *held = chunk.into();
        }
        held.bytes()
    }

    /// Says that the first `len` bytes of the chunk were sent or read; what waits for room may be
    /// notified.
    ///
    /// # Panics
    ///
    /// If the chunk is shorter.
    pub fn consume(&mut self, direction: MessageDirection, len: usize) {
        match direction {
            MessageDirection::Egress => self.egress.consume(len),
            MessageDirection::Ingress => self.ingress.consume(len),
        }
        self.shared.relieve(direction, |queue| queue.bytes -= len);
    }

    /// Takes nothing more in `direction`. What was accepted is still to be consumed.
    pub fn close(&mut self, direction: MessageDirection) {
        self.shared
            .relieve(direction, |queue| queue.is_closed = true);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        for direction in [MessageDirection::Egress, MessageDirection::Ingress] {
            self.shared.relieve(direction, |queue| {
                queue.is_closed = true;
                queue.chunks = VecDeque::new();
                queue.bytes = 0;
            });
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The end of redirects that belongs to everybody else.
#[derive(Clone)]
pub struct Peer {
    shared: Arc<Shared>,
}

impl Peer {
    /// Gives `bytes` to the socket, and returns how many were accepted: all of them. Only a chunk
    /// that is longer than the socket's limit goes in pieces, between which others' may come.
    ///
    /// # Errors
    ///
    /// [`RedirectError::Full`], and `sender` will be notified once when it is worth to try again:
    /// when no more than half of the limit waits, or the target closes; one that is dropped
    /// meanwhile is not kept for it. [`RedirectError::Closed`],
    /// for good. Nothing was accepted then.
    pub fn send(
        &self,
        direction: MessageDirection,
        bytes: Chunk<'_>,
        sender: &Arc<dyn Notify>,
    ) -> Result<usize, RedirectError> {
        let mut queue = self.shared.queue(direction);
        if queue.is_closed {
            return Err(RedirectError::Closed);
        }
        let was_empty = queue.bytes == 0;
        let room = self.shared.limit.saturating_sub(queue.bytes);
        if bytes.len() > room && !was_empty {
            queue.wait(sender);
            return Err(RedirectError::Full);
        }
        // A limit of nothing would keep everybody waiting for ever.
        let accepted = bytes.first(room.max(1));
        if accepted.is_empty() {
            return Ok(0);
        }
        queue.push(accepted);
        drop(queue);
        if was_empty {
            self.shared.owner.notify();
        }
        Ok(accepted.len())
    }

    /// Whether the socket takes nothing more in `direction`.
    pub fn is_closed(&self, direction: MessageDirection) -> bool {
        self.shared.queue(direction).is_closed
    }

    /// Bytes that wait there.
    pub fn waiting(&self, direction: MessageDirection) -> usize {
        self.shared.queue(direction).bytes
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let egress = self.waiting(MessageDirection::Egress);
        let ingress = self.waiting(MessageDirection::Ingress);
        f.debug_struct("Peer")
            .field("egress", &egress)
            .field("ingress", &ingress)
            .finish()
    }
}
