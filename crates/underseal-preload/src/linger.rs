//! What a program was told is sent, and is not: the head of a response that is held for its file, a record that
//! stays open for what follows it, and records of a descriptor that is closed or shut down since, as a close_notify at
//! a full socket. A thread sends them, for as long as there are any, as the kernel would.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use underseal_record::SeqNo;
use underseal_ulp::{Transmit, is_passing};

use crate::call::guarded;
use crate::connection::{Socket, TcpWire};
use crate::epoll::Watches;
use crate::process;
use crate::signals::Held;
use crate::sys::{self, address, arg};

mod end;
mod heads;
mod kept;
mod lingering;
mod open_record;

use heads::{Fate, Head, Heads, Look};
use kept::Kept;
use lingering::Lingering;
use open_record::{OpenRecord, PATIENCE, Seen};

/// The shortest time between two looks of the thread.
const TICK: Duration = Duration::from_millis(1);

/// After this many looks behind which nothing had come the thread sleeps for longer, and ends then.
const IDLE_LOOKS: u32 = 4;
const LAST_REST: Duration = Duration::from_secs(1);

/// The thread's stack: it does nothing but send.
const STACK: usize = 128 * 1024;

/// What waits for the thread.
#[derive(Default)]
struct Waiting {
    lingering: Vec<Arc<Lingering>>,
    heads: Heads,
    open: Vec<OpenRecord>,
    idle: u32,
    /// How long the thread sleeps, unless it is woken for what comes.
    rest: Duration,
}

/// Nothing while there is no thread.
static WAITING: Mutex<Option<Waiting>> = Mutex::new(None);

/// Stands for it in a process that came by fork while a thread that is not here held its lock.
static OTHER: AtomicPtr<Mutex<Option<Waiting>>> = AtomicPtr::new(null_mut());

/// Goes on with every time that the thread is woken.
static WOKEN: AtomicU32 = AtomicU32::new(0);

/// Whether anything may be held.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Whether no thread can be had.
static IS_IMPOSSIBLE: AtomicBool = AtomicBool::new(false);

/// Whether somebody could send what is held, as far as that is known.
pub(crate) fn is_possible() -> bool {
    !IS_IMPOSSIBLE.load(Ordering::Relaxed)
}

fn place() -> &'static Mutex<Option<Waiting>> {
    // SAFETY: null, or a place that is never freed.
    unsafe { OTHER.load(Ordering::Acquire).as_ref() }.unwrap_or(&WAITING)
}

/// What waits. Nobody sends or waits while he has it, so that nobody waits for him.
fn waiting() -> MutexGuard<'static, Option<Waiting>> {
    place().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds to what waits, with a thread that sees to it. Says no where none can be had.
fn add(add: impl FnOnce(&mut Waiting) -> bool) -> bool {
    let mut waiting = waiting();
    if waiting.is_none() && !process::is_guest() {
        let has_started = start();
        IS_IMPOSSIBLE.store(!has_started, Ordering::Relaxed);
        *waiting = has_started.then(Waiting::default);
    }
    waiting.as_mut().is_some_and(add)
}

/// Puts something behind others, if there is memory for it.
fn push<T>(list: &mut Vec<T>, last: T) -> bool {
    let has_room = list.try_reserve(1).is_ok();
    if has_room {
        list.push(last);
    }
    has_room
}

/// Sends what a number of a connection leaves behind that is closed. If it is the last one, or stays open for that,
/// nobody watches it from here on, whoever still has it open: this thread, or a call of the program's. Where no thread
/// can be had what is left is lost, as is what is left when the process ends, or the program wants the connection reset.
/// Where the program has asked for that (`SO_LINGER`), the last close waits for it.
pub(crate) fn take(socket: Arc<Socket>, watches: &Watches) {
    let _ = socket.try_end_record();
    let is_sent = socket.owed() == Some(0);
    if !is_sent {
        watches.end(socket.tcp());
    }
    // Most often nothing waits, and the kernel does what `SO_LINGER` says when this closes the TCP socket.
    let is_ours = is_sent && Arc::strong_count(&socket) == 1;
    if !(is_ours || end::as_asked(&socket) || is_sent) {
        let shuts_down = socket.is_shut_down();
        linger(Lingering::new(Kept::new(socket), shuts_down));
        return;
    }
    if is_sent && socket.is_shut_down() {
        // Somebody may be in a call on it for as long as the peer does not see that end.
        let _ = sys::shutdown(socket.tcp(), libc::SHUT_WR);
    }
    // Where nobody else has it open it is closed with this, and watched by nobody then.
    if let Err(shared) = Arc::try_unwrap(socket)
        && shared.is_last()
    {
        watches.end(shared.tcp());
    }
}

/// Has the thread look at a connection no more.
fn take_out(socket: &Arc<Socket>) {
    while waiting()
        .as_mut()
        .is_some_and(|waiting| waiting.take_out(socket))
    {}
}

/// Sees to it that what a call has sealed and counted as sent goes out where the socket is full: its program may wait
/// for an answer to it.
pub(crate) fn see_to_rest(socket: &Socket) {
    if socket.owed() == Some(0) {
        return;
    }
    let sent = socket.try_flush();
    if let Some(own) = Kept::upgrade(&socket.weak) {
        linger_over_rest(own, sent);
    }
}

fn linger(lingering: Lingering) -> bool {
    let mut given_up = None;
    let is_taken = add(|waiting| {
        waiting.be_there_within(TICK);
        let mut others = waiting.lingering.iter();
        others.any(|other| other.goes_on_for(&lingering)) || {
            given_up = waiting.make_room();
            push(&mut waiting.lingering, Arc::new(lingering))
        }
    });
    if let Some(oldest) = given_up {
        oldest.give_up();
    }
    is_taken
}

/// Has the sending direction of a connection end behind what waits. Says no where nothing does, and where no thread
/// can be had.
pub(crate) fn shut_down(socket: &Socket) -> bool {
    let sent = socket.try_end_record();
    let waits = sent.is_err_and(is_passing) && socket.owed() > Some(0);
    let Some(own) = Kept::upgrade(&socket.weak).filter(|_| waits) else {
        return false;
    };
    let is_taken = linger(Lingering::new(own, true));
    if is_taken {
        socket.shut_down();
    }
    is_taken
}

/// Sees to it that a head that a call with `flags` has just held, for the start of a `record`, is sent within a moment; at
/// once where nobody can.
///
/// # Errors
///
/// What the socket said.
pub(crate) fn watch_head(
    socket: &Socket,
    record: Option<SeqNo>,
    flags: c_int,
) -> Result<(), Errno> {
    let is_watched = add(|waiting| {
        waiting.be_there_within(waiting.heads.rest());
        waiting.idle = 0;
        let is_watched = waiting.heads.add(Head::of(socket, record));
        HOLDS.store(is_watched, Ordering::Release);
        is_watched
    });
    match is_watched {
        true => Ok(()),
        false => send_at_once(socket, flags),
    }
}

/// The same for a record that stays open, by a call with `flags`: it is ended if nothing follows for a while.
///
/// # Errors
///
/// As [`watch_head`].
pub(crate) fn watch_open_record(socket: &Socket, flags: c_int) -> Result<(), Errno> {
    let Some(open) = OpenRecord::of(socket) else {
        return Ok(());
    };
    let is_watched = add(|waiting| {
        waiting.be_there_within(PATIENCE);
        push(&mut waiting.open, open)
    });
    if is_watched {
        return Ok(());
    }
    socket.is_watched.store(false, Ordering::SeqCst);
    send_at_once(socket, flags)
}

/// Nobody else would send what is held.
fn send_at_once(socket: &Socket, flags: c_int) -> Result<(), Errno> {
    let end = |transmit: &mut Transmit, wire: &mut TcpWire| transmit.end_record(wire);
    match socket.send(flags, end) {
        Err(error) if !is_passing(error) => Err(error),
        _ => Ok(()),
    }
}

/// What is held when the program ends is sent then.
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = end;

extern "C" fn end() {
    if process::is_in_use() && !process::is_guest() {
        let _ = guarded(|| {
            release_all();
            end_open_records(Waiting::open_records);
            Ok(())
        });
    }
}

/// Sends what is held, before its thread waits for something else.
#[inline]
pub(crate) fn release() {
    if HOLDS.load(Ordering::Acquire) {
        let errno = sys::saved_errno();
        let _ = guarded(|| {
            release_all();
            Ok(())
        });
        sys::set_errno(errno);
    }
}

/// Sends what is held, as far as sockets take it; the rest lingers.
#[cold]
fn release_all() {
    let held = waiting().as_mut().map(|waiting| {
        HOLDS.store(false, Ordering::Release);
        waiting.heads.take()
    });
    held.iter()
        .flatten()
        .filter_map(Head::socket)
        .for_each(flush);
}

/// Sends those heads that nothing has followed since the look before this one, and those that are sealed and that nobody
/// else would send.
fn look_at_heads() {
    let look = waiting().as_mut().map(|waiting| waiting.heads.look());
    let Look { new, seen } = look.unwrap_or_default();
    let (mut is_left_alone, mut unknown) = (false, Vec::new());
    for head in seen {
        match head.fate() {
            Fate::Held(socket) => {
                is_left_alone = true;
                flush(socket);
            }
            Fate::Sealed(socket) => flush(socket),
            Fate::Unknown => drop(push(&mut unknown, head)),
            Fate::Gone => {}
        }
    }
    let is_one_held = new.iter().any(Head::may_be_left_alone);
    let has_come = waiting().as_mut().is_some_and(|waiting| {
        waiting.heads.settle(unknown, is_one_held);
        HOLDS.store(!waiting.heads.is_empty(), Ordering::Release);
        waiting.idle == 0
    });
    if is_left_alone || has_come {
        heads::note(is_left_alone);
    }
}

/// Sends what waits of a socket, as far as that takes it; the rest lingers.
fn flush(socket: Kept) {
    let sent = socket.try_flush();
    linger_over_rest(socket, sent);
}

/// Ends the open records of some sockets; the same.
fn end_open_records(of: impl FnOnce(&mut Waiting) -> Vec<Kept>) {
    let sockets = waiting().as_mut().map(of);
    for socket in sockets.into_iter().flatten() {
        let sent = socket.try_end_record();
        linger_over_rest(socket, sent);
    }
}

fn linger_over_rest(socket: Kept, sent: Result<(), Errno>) {
    if sent.is_err_and(is_passing) && socket.owed() != Some(0) {
        linger(Lingering::new(socket, false));
    }
}

/// In a process that came by fork: the thread is not here.
pub(crate) fn forget() {
    HOLDS.store(false, Ordering::Release);
    match place().try_lock() {
        Ok(mut waiting) => *waiting = None,
        Err(_) => OTHER.store(Box::into_raw(Box::default()), Ordering::Release),
    }
}

/// Starts the thread, which takes none of the program's signals. Not in a guest: it would be a thread of another
/// process in this memory.
fn start() -> bool {
    let _held = Held::all();
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    thread.is_ok()
}

fn run() {
    sleep_unless_woken(TICK, WOKEN.load(Ordering::Relaxed));
    loop {
        // Nobody waits for this thread while it sends: sockets take it at once or not at all.
        look_at_heads();
        end_open_records(Waiting::overdue_records);
        let now = Instant::now();
        go_on(now);
        let mut waiting = waiting();
        let rest = waiting.as_mut().and_then(|waiting| waiting.rest(now));
        if rest.is_none() {
            *waiting = None;
        }
        let woken = WOKEN.load(Ordering::Relaxed);
        drop(waiting);
        match rest {
            None => return,
            Some(rest) => sleep_unless_woken(rest, woken),
        }
    }
}

/// Goes on with each, and closes those that are over. It has one at a time: who closes another waits for no more.
fn go_on(now: Instant) {
    let mut index = 0;
    while let Some(one) = lingering(index) {
        one.go_on(now);
        match one.is_over() {
            true => remove(&one),
            false => index += 1,
        }
    }
}

fn lingering(index: usize) -> Option<Arc<Lingering>> {
    let waiting = waiting();
    waiting.as_ref()?.lingering.get(index).cloned()
}

/// Takes out one that its caller closes, when nobody waits for what waits.
fn remove(one: &Arc<Lingering>) {
    if let Some(waiting) = waiting().as_mut() {
        let all = &mut waiting.lingering;
        let index = all.iter().position(|other| Arc::ptr_eq(one, other));
        index.map(|index| all.swap_remove(index));
    }
}

impl Waiting {
    /// Those whose record is open, which are looked at no more.
    fn open_records(&mut self) -> Vec<Kept> {
        let open = self.open.drain(..);
        open.filter_map(|open| open.socket()).collect()
    }

    /// Those of them whose record has been open for too long.
    fn overdue_records(&mut self) -> Vec<Kept> {
        let now = Instant::now();
        let mut overdue = Vec::new();
        self.open.retain_mut(|open| match open.look(now) {
            Seen::InTime => true,
            Seen::Over => false,
            Seen::Overdue(socket) => !push(&mut overdue, socket),
        });
        overdue
    }

    /// How long the thread may rest after a look at `now`; nothing where there is nothing left to see to.
    fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.idle = self.idle.saturating_add(1);
        let heads = match self.idle {
            _ if !self.heads.is_empty() => Some(self.heads.rest()),
            ..IDLE_LOOKS => Some(self.heads.rest()),
            IDLE_LOOKS => Some(LAST_REST),
            _ => None,
        };
        let lingering = self.lingering.iter().map(|lingering| lingering.next());
        let open = self.open.iter().map(OpenRecord::until);
        let next = lingering.chain(open).min();
        let next = next.map(|next| next.saturating_duration_since(now).max(TICK));
        self.rest = heads.into_iter().chain(next).min()?;
        Some(self.rest)
    }

    /// Wakes the thread if it sleeps for longer.
    fn be_there_within(&mut self, time: Duration) {
        if self.rest > time {
            self.rest = Duration::ZERO;
            wake();
        }
    }

    /// Takes out one that is of this socket, which somebody else has; says whether there was one.
    fn take_out(&mut self, socket: &Arc<Socket>) -> bool {
        let mut all = self.lingering.iter();
        let index = all.position(|lingering| lingering.is_of(socket));
        let taken = index.map(|index| self.lingering.swap_remove(index));
        taken.is_some()
    }

    /// Takes out the connection whose peer has taken nothing for the longest time where there are too many for another:
    /// each has a descriptor that its program could use. The kernel has `tcp_max_orphans` for that.
    fn make_room(&mut self) -> Option<Arc<Lingering>> {
        let most = (sys::limit(libc::RLIMIT_NOFILE) / 4).max(1);
        if (self.lingering.len() as u64) < most {
            return None;
        }
        let all = self.lingering.iter().enumerate();
        let (oldest, _) = all.min_by_key(|(_, lingering)| lingering.taken())?;
        Some(self.lingering.swap_remove(oldest))
    }
}

/// Sleeps, unless something has come since the thread had seen `woken`.
fn sleep_unless_woken(rest: Duration, woken: u32) {
    let rest = sys::timespec(rest);
    let operation = arg(libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG);
    let arguments = [
        address(WOKEN.as_ptr()),
        operation,
        woken as usize,
        address(&raw const rest),
    ];
    // SAFETY: the kernel reads a number that is never freed, and a time that is ours.
    let _ = unsafe { sys::call(libc::SYS_futex, arguments) };
}

fn wake() {
    WOKEN.fetch_add(1, Ordering::Relaxed);
    let operation = arg(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG);
    // SAFETY: the kernel compares the address alone.
    let _ = unsafe { sys::call(libc::SYS_futex, [address(WOKEN.as_ptr()), operation, 1]) };
}
