//! What this library knows of each descriptor.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::connection::{Shared, Socket};
use crate::epoll::Watches;
use crate::{inert, linger, process, sys};

mod duplicating;
mod give_up;

pub(crate) use duplicating::Duplicating;
pub(crate) use give_up::{give_up, give_up_calls};

/// Descriptors of one chunk, and chunks: up to a million descriptors.
const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

/// What a number is. Anything that this library has nothing to do with is plain.
const PLAIN: u8 = 0;
/// The program's number of a connection.
const TLS: u8 = 1;
/// A number that the program does not know.
const PRIVATE: u8 = 2;
/// The program's number of a connection of the process that this one came from.
const FOREIGN: u8 = 3;

/// What is known of a number.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) socket: Option<Arc<Socket>>,
    /// Of the inert socket, in a process that does not own the connection.
    foreign: (u64, u64),
    /// Of a number that the program does not know: tells who hid it that the number is another file's.
    is_lost: Option<Arc<AtomicBool>>,
    /// The epoll instances that watch it.
    pub(crate) watches: Watches,
    /// The socket that `TCP_ULP` was set to "tls" of.
    pub(crate) ulp: Option<(u64, u64)>,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.socket.is_some() || self.ulp.is_some() || !self.watches.is_empty()
    }

    /// Forgets everything, and gives back the connection with who watches it. Of a number that has none it frees
    /// nothing, as a signal handler may close it that interrupts the allocator.
    fn clear(&mut self) -> Option<(Arc<Socket>, Watches)> {
        let before = match self.socket.take() {
            Some(socket) => Some((socket, std::mem::take(&mut self.watches))),
            None => {
                self.watches.forget();
                None
            }
        };
        self.foreign = (0, 0);
        self.is_lost = None;
        self.ulp = None;
        before
    }
}

#[derive(Default)]
struct Slot {
    kind: AtomicU8,
    /// The moment at which its file was last looked at, and was what it should be.
    looked_at: AtomicU64,
    /// Whether a signal handler has closed it in the midst of a call: see [`close_later`].
    is_closing: AtomicBool,
    /// Whether its file has, or may have, another number.
    is_duplicated: AtomicBool,
    /// How many calls are about to give its file another number.
    duplicating: AtomicU32,
    /// Of a number that the program does not know: the connection whose TCP socket it is, for as long as it lives.
    owner: AtomicPtr<Shared>,
    entry: Mutex<Entry>,
}

/// Goes on with whatever may have made a number another file's unseen: see [`look_again`].
static MOMENT: AtomicU64 = AtomicU64::new(1);

static TABLE: [AtomicPtr<[Slot; CHUNK]>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];

/// What a call finds at a number.
pub(crate) enum Found {
    Socket(Arc<Socket>),
    /// The call fails.
    Refused(Errno),
}

#[inline]
fn slot(fd: c_int) -> Option<&'static Slot> {
    let fd = usize::try_from(fd).ok()?;
    let chunk = TABLE.get(fd / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: null, or a chunk that is never freed.
    let chunk = unsafe { chunk.as_ref() }?;
    Some(&chunk[fd % CHUNK])
}

/// The slot, in a chunk that is made if there was none; nothing where memory ends.
fn made_slot(fd: c_int) -> Option<&'static Slot> {
    if let Some(slot) = slot(fd) {
        return Some(slot);
    }
    let place = TABLE.get(usize::try_from(fd).ok()? / CHUNK)?;
    let new = Box::into_raw(new_chunk()?);
    let order = Ordering::AcqRel;
    if place
        .compare_exchange(null_mut(), new, order, Ordering::Acquire)
        .is_err()
    {
        // SAFETY: another thread was faster, and nobody has seen this one.
        drop(unsafe { Box::from_raw(new) });
    }
    slot(fd)
}

fn new_chunk() -> Option<Box<[Slot; CHUNK]>> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(CHUNK).ok()?;
    slots.extend((0..CHUNK).map(|_| Slot::default()));
    slots.into_boxed_slice().try_into().ok()
}

/// Makes a place for what is to be known of a number. Past the table's end there is none, and no connection either.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn make_place(fd: c_int) -> Result<(), Errno> {
    place_of(fd).map(drop)
}

fn place_of(fd: c_int) -> Result<Option<&'static Slot>, Errno> {
    let is_covered = usize::try_from(fd).is_ok_and(|fd| fd < CHUNK * CHUNKS);
    match made_slot(fd) {
        None if is_covered => Err(Errno::NOMEM),
        slot => Ok(slot),
    }
}

/// What is known of a number, for as long as the guard lives.
pub(crate) struct Known {
    slot: &'static Slot,
    entry: MutexGuard<'static, Entry>,
}

impl Known {
    fn of(slot: &'static Slot) -> Self {
        let entry = slot.entry.lock().unwrap_or_else(PoisonError::into_inner);
        Self { slot, entry }
    }

    /// What is known already; nothing is made for a number that nothing is known of.
    pub(crate) fn at(fd: c_int) -> Option<Self> {
        slot(fd).map(Self::of)
    }

    /// A place for what is to be known.
    pub(crate) fn made_at(fd: c_int) -> Option<Self> {
        made_slot(fd).map(Self::of)
    }

    pub(crate) fn entry(&mut self) -> &mut Entry {
        &mut self.entry
    }

    /// Whether anything is known.
    pub(crate) fn is_used(&self) -> bool {
        self.slot.kind.load(Ordering::Acquire) != PLAIN
            || self.slot.is_duplicated.load(Ordering::Acquire)
            || self.entry.is_used()
    }

    /// Whether its file has another number, or is about to. Of a number that is announced, this misses no call.
    pub(crate) fn is_duplicated(&self) -> bool {
        // In this order: a call notes what it has made before it is counted no more.
        self.slot.duplicating.load(Ordering::SeqCst) > 0
            || self.slot.is_duplicated.load(Ordering::SeqCst)
    }

    /// Makes the number a connection's. Calls on it wait for this guard from here on.
    pub(crate) fn announce(&mut self) {
        self.slot.kind.store(TLS, Ordering::SeqCst);
        // See `Duplicating`.
        fence(Ordering::SeqCst);
    }

    /// Whether the number still is what this library put there.
    fn is_intact(&self, fd: c_int) -> bool {
        // Before the file is looked at: what happens meanwhile is for the next call.
        let moment = moment();
        if self.slot.looked_at.load(Ordering::Relaxed) == moment {
            return true;
        }
        let is_intact = match &self.entry.socket {
            Some(socket) => inert::is_at(fd, socket.inert),
            None => sys::identity(fd) == Ok(self.entry.foreign),
        };
        if is_intact {
            self.slot.looked_at.store(moment, Ordering::Relaxed);
        }
        is_intact
    }

    /// Notes the connection whose inert socket was put at the number, which is announced, behind `moment`.
    pub(crate) fn put(&mut self, socket: Arc<Socket>, moment: u64) {
        self.entry.socket = Some(socket);
        self.slot.looked_at.store(moment, Ordering::Relaxed);
    }

    /// Takes that back.
    pub(crate) fn renounce(&mut self) {
        self.slot.kind.store(PLAIN, Ordering::Release);
    }

    /// Forgets everything, as the number's file is gone or about to be, and sends what its connection leaves behind.
    pub(crate) fn end(mut self) {
        let before = self.clear();
        drop(self);
        leave(before);
    }

    /// The same for a number that is another file's, unseen. Whether that has another number is what is known of it.
    fn lose(mut self) {
        let is_duplicated = self.slot.is_duplicated.load(Ordering::Acquire);
        let before = self.clear();
        self.slot
            .is_duplicated
            .fetch_or(is_duplicated, Ordering::AcqRel);
        drop(self);
        leave(before);
    }

    /// Closes the number, and ends as [`end`](Self::end). As in the kernel, whoever waits for the connection to end does
    /// not keep the number.
    ///
    /// # Errors
    ///
    /// `EBADF` where there is none.
    pub(crate) fn close(mut self, fd: c_int) -> Result<(), Errno> {
        let before = self.clear();
        drop(self);
        let closed = sys::close(fd);
        leave(before);
        closed
    }

    /// Makes it another connection's.
    pub(crate) fn become_socket(mut self, socket: Arc<Socket>) {
        let before = self.clear();
        self.entry.socket = Some(socket);
        self.announce();
        drop(self);
        leave(before);
    }

    /// Forgets everything, and gives back the connection with who watches it.
    fn clear(&mut self) -> Option<(Arc<Socket>, Watches)> {
        self.slot.kind.store(PLAIN, Ordering::Release);
        // What a signal handler has closed is gone, if another file has come in its place.
        self.slot.is_closing.store(false, Ordering::Release);
        self.slot.is_duplicated.store(false, Ordering::Release);
        self.slot.looked_at.store(0, Ordering::Relaxed);
        self.entry.clear()
    }
}

fn leave(before: Option<(Arc<Socket>, Watches)>) {
    if let Some((socket, watches)) = before {
        linger::take(socket, &watches);
    }
}

/// Whether anything may be known of a number. This waits for nobody.
pub(crate) fn has_place(fd: c_int) -> bool {
    slot(fd).is_some()
}

/// Notes that a number's file was made just now: it has no other, whatever the number had that was closed unseen.
#[inline]
pub(crate) fn note_new(fd: c_int) {
    if let Some(slot) = slot(fd)
        && slot.is_duplicated.load(Ordering::Acquire)
        && !process::is_guest()
    {
        slot.is_duplicated.store(false, Ordering::Release);
    }
}

/// Whether a call on this number is any of our business.
#[inline]
pub(crate) fn is_known(fd: c_int) -> bool {
    slot(fd).is_some_and(|slot| slot.kind.load(Ordering::Acquire) != PLAIN)
}

/// Whether the program does not know this number.
#[inline]
pub(crate) fn is_private(fd: c_int) -> bool {
    slot(fd).is_some_and(|slot| slot.kind.load(Ordering::Acquire) == PRIVATE)
}

/// What a look at a number is good for.
pub(crate) fn moment() -> u64 {
    MOMENT.load(Ordering::Acquire)
}

/// Has every number looked at before it is believed once more. A number may be closed by a raw system call,
/// which this library does not see; that it has become another file's must be found out before a program can use
/// it. Looking costs a system call, so it is done once behind each wait for readiness and each call that
/// makes a number.
#[inline]
pub(crate) fn look_again() {
    if process::is_in_use() {
        MOMENT.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a call on a number is about, where [`is_known`] says that it is; nothing if what stands there
/// now is not what this library put there.
#[cold]
pub(crate) fn find(fd: c_int) -> Option<Found> {
    let slot = slot(fd)?;
    match slot.kind.load(Ordering::Acquire) {
        PLAIN => return None,
        PRIVATE => return Some(Found::Refused(Errno::BADF)),
        _ => {}
    }
    let known = Known::of(slot);
    // Where keys were refused while this waited for the guard, it never became a connection's.
    if slot.kind.load(Ordering::Acquire) == PLAIN {
        return None;
    }
    if !known.is_intact(fd) {
        // Closed in a way that this library does not see, and perhaps another file's by now. Not in
        // a process that only borrows the memory: its descriptors are its own.
        if process::is_guest() {
            return None;
        }
        known.lose();
        return None;
    }
    Some(match &known.entry.socket {
        Some(socket) => Found::Socket(Arc::clone(socket)),
        None => Found::Refused(Errno::BADFD),
    })
}

/// Hides a number from the program. Whoever had it hidden is told through `is_lost` when it is hidden again: it
/// was closed unseen then. Says no where the table ends.
pub(crate) fn hide(fd: c_int, is_lost: &Arc<AtomicBool>) -> bool {
    let Some(mut known) = Known::made_at(fd) else {
        return false;
    };
    if let Some(before) = known.entry.is_lost.take() {
        before.store(true, Ordering::Release);
    }
    let before = known.clear();
    known.entry.is_lost = Some(Arc::clone(is_lost));
    known.slot.kind.store(PRIVATE, Ordering::Release);
    drop(known);
    drop(before);
    true
}

/// Ends that; says whether it was hidden by the same.
pub(crate) fn reveal(fd: c_int, is_lost: &Arc<AtomicBool>) -> bool {
    let Some(mut known) = Known::at(fd) else {
        return false;
    };
    let hidden = known.entry.is_lost.as_ref();
    let is_same = hidden.is_some_and(|hidden| Arc::ptr_eq(hidden, is_lost));
    if is_same {
        drop(known.clear());
    }
    is_same
}

/// Notes whose TCP socket a hidden number is. In a process that came by fork no other way leads to a connection for
/// certain: locks are held, and calls on it go on, by threads that are not there.
pub(crate) fn own(fd: c_int, owner: *const Shared) {
    if let Some(slot) = slot(fd) {
        slot.owner.store(owner.cast_mut(), Ordering::Release);
    }
}

/// Ends that, before the connection ends.
pub(crate) fn disown(fd: c_int, owner: *const Shared) {
    if let Some(slot) = slot(fd) {
        let (own, none) = (owner.cast_mut(), null_mut());
        // Where the number was closed unseen, it may be another's.
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = slot.owner.compare_exchange(own, none, order.0, order.1);
    }
}

/// Has a number closed by [`close_due`]. Says no where it is to be already.
pub(crate) fn close_later(fd: c_int) -> bool {
    slot(fd).is_some_and(|slot| !slot.is_closing.swap(true, Ordering::AcqRel))
}

/// Closes what signal handlers have closed in the midst of a call.
pub(crate) fn close_due() {
    let is_due = |slot: &Slot| slot.is_closing.load(Ordering::Acquire);
    for (fd, slot) in slots().filter(|(_, slot)| is_due(slot)) {
        let mut known = Known::of(slot);
        if !is_due(slot) {
            // Another thread has closed it, or put another file there.
            continue;
        }
        // While it is due nobody else closes it, and behind the guard nobody else replaces it.
        let _ = sys::close(fd);
        let before = known.clear();
        drop(known);
        leave(before);
    }
}

/// The numbers that are not for the program to close, as it does not know them or has closed them, in order.
pub(crate) fn kept_numbers(first: c_int, last: c_int) -> impl Iterator<Item = c_int> {
    let is_kept = |slot: &Slot| {
        slot.kind.load(Ordering::Acquire) == PRIVATE || slot.is_closing.load(Ordering::Acquire)
    };
    slots()
        .filter(move |(_, slot)| is_kept(slot))
        .map(|(fd, _)| fd)
        .filter(move |fd| (first..=last).contains(fd))
}

/// The numbers of connections that the program knows, in order. This waits for nobody.
pub(crate) fn known(first: c_int, last: c_int) -> impl Iterator<Item = c_int> {
    slots()
        .filter(|(_, slot)| !matches!(slot.kind.load(Ordering::Acquire), PLAIN | PRIVATE))
        .map(|(fd, _)| fd)
        .filter(move |fd| (first..=last).contains(fd))
}

/// The numbers of which anything is known and that the program knows, in order.
pub(crate) fn used(first: c_int, last: c_int) -> impl Iterator<Item = c_int> {
    slots().filter_map(move |(fd, slot)| {
        let is_asked = (first..=last).contains(&fd);
        let is_used = is_asked
            && match slot.kind.load(Ordering::Acquire) {
                PRIVATE => false,
                PLAIN => Known::of(slot).is_used(),
                _ => true,
            };
        is_used.then_some(fd)
    })
}

fn slots() -> impl Iterator<Item = (c_int, &'static Slot)> {
    let chunks = TABLE.iter().enumerate();
    chunks.flat_map(move |(index, chunk)| {
        // SAFETY: null, or a chunk that is never freed.
        let chunk = unsafe { chunk.load(Ordering::Acquire).as_ref() };
        let slots = chunk.into_iter().flatten().enumerate();
        slots.map(move |(at, slot)| ((index * CHUNK + at) as c_int, slot))
    })
}
