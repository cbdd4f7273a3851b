//! What a program was told is sent, and is not: the head of a response that is held for its file, a record that
//! stays open for what follows it, and records of a descriptor that is closed or shut down since, as a close_notify at
//! a full socket. A thread sends them, for as long as there are any, as the kernel would.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use underseal_ulp::Transmit;

use crate::call::guarded;
use crate::connection::{Socket, TcpWire};
use crate::epoll::Watches;
use crate::process;
use crate::sys::{self, address};

mod open_record;

use open_record::{OpenRecord, Seen};

/// How long a peer may take nothing of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the thread looks for heads that nothing followed, and for sockets that take more.
const TICK_NS: i64 = 1_000_000;

/// After this many looks that found nothing the thread ends.
const IDLE_TICKS: u32 = 200;

/// The thread's stack: it does nothing but send.
const STACK: usize = 128 * 1024;

struct Lingering {
    socket: Arc<Socket>,
    /// Whether the sending direction ends behind it.
    shuts_down: bool,
    progress: Mutex<Progress>,
}

/// How far a socket that lingers has come.
struct Progress {
    owed: usize,
    until: Instant,
    is_over: bool,
    /// Whether something came since the last look began.
    has_more: bool,
}

/// What waits for the thread.
#[derive(Default)]
struct Waiting {
    lingering: Vec<Arc<Lingering>>,
    /// Sockets that something is, or was, held for.
    held: Vec<Weak<Socket>>,
    open: Vec<OpenRecord>,
    idle: u32,
}

/// Nothing while there is no thread.
static WAITING: Mutex<Option<Waiting>> = Mutex::new(None);

/// Stands for it in a process that came by fork while a thread that is not here held its lock.
static OTHER: AtomicPtr<Mutex<Option<Waiting>>> = AtomicPtr::new(null_mut());

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
/// can be had what is left is lost, as is what is left when the process ends.
pub(crate) fn take(socket: Arc<Socket>, watches: &Watches) {
    let owes = socket.owed() != Some(0);
    if owes || socket.is_last() {
        watches.end(socket.tcp());
    }
    if owes {
        linger(Lingering::new(socket, false));
    }
}

/// Sees to it that what a call has sealed and counted as sent goes out where the socket is full: its program may wait
/// for an answer to it.
pub(crate) fn see_to_rest(socket: &Socket) {
    if socket.owed() == Some(0) {
        return;
    }
    let sent = socket.try_flush();
    if let Some(own) = socket.weak.upgrade() {
        linger_over_rest(own, sent);
    }
}

fn linger(lingering: Lingering) -> bool {
    add(|waiting| {
        let mut others = waiting.lingering.iter();
        others.any(|other| other.goes_on_for(&lingering))
            || push(&mut waiting.lingering, Arc::new(lingering))
    })
}

/// Has the sending direction of a connection end behind what waits. Says no where nothing does, and where no thread
/// can be had.
pub(crate) fn shut_down(socket: &Socket) -> bool {
    let waits = socket.try_end_record() == Err(Errno::AGAIN) && socket.owed() > Some(0);
    let Some(own) = socket.weak.upgrade().filter(|_| waits) else {
        return false;
    };
    let is_taken = linger(Lingering::new(own, true));
    if is_taken {
        socket.shut_down();
    }
    is_taken
}

/// Sees to it that a head that was held just now is sent within a moment; at once where nobody can.
///
/// # Errors
///
/// What the socket said.
pub(crate) fn watch_head(socket: &Socket) -> Result<(), Errno> {
    let is_watched = add(|waiting| {
        let is_watched = push(&mut waiting.held, Weak::clone(&socket.weak));
        waiting.idle = 0;
        HOLDS.store(is_watched, Ordering::Release);
        is_watched
    });
    match is_watched {
        true => Ok(()),
        false => send_at_once(socket, 0),
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
    if add(|waiting| push(&mut waiting.open, open)) {
        return Ok(());
    }
    socket.is_watched.store(false, Ordering::SeqCst);
    send_at_once(socket, flags)
}

/// Nobody else would send what is held.
fn send_at_once(socket: &Socket, flags: c_int) -> Result<(), Errno> {
    let end = |transmit: &mut Transmit, wire: &mut TcpWire| transmit.end_record(wire);
    match socket.send(flags, end) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is held when the program ends is sent then.
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = end;

extern "C" fn end() {
    if !process::is_guest() && process::has_owner() {
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
        std::mem::take(&mut waiting.held)
    });
    for socket in held.iter().flatten().filter_map(Weak::upgrade) {
        let sent = socket.try_flush();
        linger_over_rest(socket, sent);
    }
}

/// Ends the open records of some sockets; the same.
fn end_open_records(of: impl FnOnce(&mut Waiting) -> Vec<Arc<Socket>>) {
    let sockets = waiting().as_mut().map(of);
    for socket in sockets.into_iter().flatten() {
        let sent = socket.try_end_record();
        linger_over_rest(socket, sent);
    }
}

fn linger_over_rest(socket: Arc<Socket>, sent: Result<(), Errno>) {
    if sent == Err(Errno::AGAIN) && socket.owed() != Some(0) {
        linger(Lingering::new(socket, false));
    }
}

/// In a process that came by fork: the thread is not here.
pub(crate) fn forget() {
    HOLDS.store(false, Ordering::Release);
    match place().try_lock() {
        Ok(mut waiting) => {
            let left = waiting.take().unwrap_or_default().lingering;
            left.iter().for_each(|lingering| lingering.socket.wipe());
        }
        Err(_) => OTHER.store(Box::into_raw(Box::default()), Ordering::Release),
    }
}

/// Starts the thread, which takes none of the program's signals. Not in a guest: it would be a thread of another
/// process in this memory.
fn start() -> bool {
    // SAFETY: zeros are a set of signals.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: the set is ours.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are ours.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    // SAFETY: it was filled in by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut()) };
    thread.is_ok()
}

fn run() {
    loop {
        tick();
        // Nobody waits for this thread while it sends: sockets take it at once or not at all.
        release_all();
        end_open_records(Waiting::overdue_records);
        let lingering = waiting().as_ref().map(|waiting| waiting.lingering.clone());
        lingering.iter().flatten().for_each(|one| one.go_on());
        let mut waiting = waiting();
        if !waiting.as_mut().is_some_and(Waiting::goes_on) {
            *waiting = None;
            return;
        }
    }
}

impl Waiting {
    /// Those whose record is open, which are looked at no more.
    fn open_records(&mut self) -> Vec<Arc<Socket>> {
        let open = self.open.drain(..);
        open.filter_map(|open| open.socket()).collect()
    }

    /// Those of them whose record has been open for too long.
    fn overdue_records(&mut self) -> Vec<Arc<Socket>> {
        let now = Instant::now();
        let mut overdue = Vec::new();
        self.open.retain_mut(|open| match open.look(now) {
            Seen::InTime => true,
            Seen::Over => false,
            Seen::Overdue(socket) => !push(&mut overdue, socket),
        });
        overdue
    }

    /// Whether there is still something to see to.
    fn goes_on(&mut self) -> bool {
        self.idle += 1;
        self.lingering.retain(|lingering| !lingering.is_over());
        let holds = !self.held.is_empty() || !self.open.is_empty();
        holds || !self.lingering.is_empty() || self.idle < IDLE_TICKS
    }
}

impl Lingering {
    fn new(socket: Arc<Socket>, shuts_down: bool) -> Self {
        let progress = Progress {
            owed: usize::MAX,
            until: Instant::now() + PATIENCE,
            is_over: false,
            has_more: false,
        };
        Self {
            socket,
            shuts_down,
            progress: Mutex::new(progress),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.progress().is_over
    }

    /// Goes on for another of the same socket, unless it is over.
    fn goes_on_for(&self, other: &Self) -> bool {
        let is_same = Arc::ptr_eq(&self.socket, &other.socket);
        if !is_same || self.shuts_down != other.shuts_down {
            return false;
        }
        let mut progress = self.progress();
        progress.has_more = !progress.is_over;
        progress.has_more
    }

    /// Sends what the socket takes, until there is nothing left to send, or nobody who takes it.
    fn go_on(&self) {
        self.progress().has_more = false;
        let is_alive = matches!(self.socket.try_end_record(), Ok(()) | Err(Errno::AGAIN));
        let owed = self.socket.owed();
        let mut progress = self.progress();
        if let Some(owed) = owed.filter(|owed| *owed < progress.owed || progress.has_more) {
            progress.owed = owed;
            progress.until = Instant::now() + PATIENCE;
        }
        let is_sent = owed == Some(0) && !progress.has_more;
        progress.is_over = !is_alive || is_sent || progress.until < Instant::now();
        if self.shuts_down && progress.is_over {
            let _ = sys::shutdown(self.socket.tcp(), libc::SHUT_WR);
        }
    }
}

fn tick() {
    let mut tick = libc::timespec {
        tv_sec: 0,
        tv_nsec: TICK_NS,
    };
    // SAFETY: the kernel reads a time that is ours.
    let _ = unsafe { sys::call(libc::SYS_nanosleep, [address(&raw mut tick), 0]) };
}
