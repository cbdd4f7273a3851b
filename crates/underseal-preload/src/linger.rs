//! What a program was told is sent, and is not: the head of a response that is held for its file, and records
//! of a descriptor that is closed or shut down since, as a close_notify at a full socket. A thread sends them, for
//! as long as there are any, as the kernel would.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::call::guarded;
use crate::connection::Socket;
use crate::process;
use crate::sys::{self, address};

/// How long a peer may take nothing of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the thread looks for heads that nothing followed, and for sockets that take more.
const TICK_NS: i64 = 1_000_000;

/// After this many looks that found nothing the thread ends.
const IDLE_TICKS: u32 = 200;

/// The thread's stack: it does nothing but send.
const STACK: usize = 128 * 1024;

/// How often a lock is tried. It is held for moments, but in a process that came by fork for good if it
/// was held then.
const TRIES: usize = 1000;

struct Lingering {
    socket: Arc<Socket>,
    until: Instant,
    /// Whether the sending direction ends behind it.
    shuts_down: bool,
}

/// What waits for the thread.
#[derive(Default)]
struct Waiting {
    lingering: Vec<Lingering>,
    /// Sockets that something is, or was, held for.
    held: Vec<Weak<Socket>>,
    idle: u32,
}

/// Nothing while there is no thread.
static WAITING: Mutex<Option<Waiting>> = Mutex::new(None);

/// Whether anything may be held.
static HOLDS: AtomicBool = AtomicBool::new(false);

/// Runs `with` what waits, if it can be had.
fn with_waiting<T>(with: impl FnOnce(&mut Option<Waiting>) -> T) -> Option<T> {
    for _ in 0..TRIES {
        if let Ok(mut waiting) = WAITING.try_lock() {
            return Some(with(&mut waiting));
        }
        std::thread::yield_now();
    }
    None
}

/// Adds to what waits, with a thread that sees to it. Says no where none can be had.
fn add(add: impl FnOnce(&mut Waiting)) -> bool {
    let added = with_waiting(|waiting| {
        if waiting.is_none() && start() {
            *waiting = Some(Waiting::default());
        }
        waiting.as_mut().map(add).is_some()
    });
    added == Some(true)
}

/// Sends what the last number of a connection leaves behind. Where no thread can be had it is lost, as is
/// what is left when the process ends.
pub(crate) fn take(socket: Arc<Socket>) {
    if socket.is_last() && socket.is_owing() != Some(false) {
        add(|waiting| waiting.lingering.push(Lingering::new(socket)));
    }
}

/// Has the sending direction of a connection end behind what waits. Says no where nothing does, and where no thread
/// can be had.
pub(crate) fn shut_down(socket: &Socket) -> bool {
    let waits = socket.try_flush() == Err(Errno::AGAIN) && socket.is_owing() == Some(true);
    let Some(socket) = socket.weak.upgrade().filter(|_| waits) else {
        return false;
    };
    let mut lingering = Lingering::new(socket);
    lingering.shuts_down = true;
    add(|waiting| waiting.lingering.push(lingering))
}

/// Sees to it that what was held just now is sent within a moment. Says no where nobody can.
pub(crate) fn watch(socket: Weak<Socket>) -> bool {
    add(|waiting| {
        waiting.held.push(socket);
        waiting.idle = 0;
        HOLDS.store(true, Ordering::Release);
    })
}

/// What is held when the program ends is sent then.
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = end;

extern "C" fn end() {
    if !process::is_guest() {
        release();
    }
}

/// Sends what is held, before its thread waits for something else.
#[inline]
pub(crate) fn release() {
    if HOLDS.load(Ordering::Acquire) {
        release_all();
    }
}

#[cold]
fn release_all() {
    let errno = sys::saved_errno();
    let _ = guarded(|| {
        with_waiting(|waiting| waiting.as_mut().map(Waiting::release));
        Ok(())
    });
    sys::set_errno(errno);
}

impl Waiting {
    /// Sends what is held, as far as sockets take it; the rest waits.
    fn release(&mut self) {
        HOLDS.store(false, Ordering::Release);
        for socket in self.held.drain(..).filter_map(|socket| socket.upgrade()) {
            if socket.try_flush() == Err(Errno::AGAIN) && socket.is_owing() == Some(true) {
                self.lingering.push(Lingering::new(socket));
            }
        }
    }

    /// Whether there is still something to see to.
    fn goes_on(&mut self) -> bool {
        self.idle += 1;
        self.release();
        self.lingering.retain(Lingering::goes_on);
        !self.lingering.is_empty() || self.idle < IDLE_TICKS
    }
}

/// In a process that came by fork: the thread is not here.
pub(crate) fn forget() {
    if let Ok(mut waiting) = WAITING.try_lock() {
        let left = waiting.take().unwrap_or_default().lingering;
        left.iter().for_each(|lingering| lingering.socket.wipe());
    }
}

/// Starts the thread, which takes none of the program's signals.
fn start() -> bool {
    if process::is_guest() {
        // It would be a thread of another process in this memory.
        return false;
    }
    // SAFETY: zeros are a set of signals.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: the set is ours.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are ours.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    // SAFETY: it was filled in by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    thread.is_ok()
}

fn run() {
    loop {
        tick();
        // Nobody waits for this thread while it sends: sockets take it at once or not at all.
        let goes_on = with_waiting(|waiting| {
            let goes_on = waiting.as_mut().is_some_and(Waiting::goes_on);
            if !goes_on {
                *waiting = None;
            }
            goes_on
        });
        if goes_on == Some(false) {
            return;
        }
    }
}

impl Lingering {
    fn new(socket: Arc<Socket>) -> Self {
        Self {
            socket,
            until: Instant::now() + PATIENCE,
            shuts_down: false,
        }
    }

    /// Whether there is anything left to send, and somebody who takes it.
    fn goes_on(&self) -> bool {
        let is_alive = matches!(self.socket.try_flush(), Ok(()) | Err(Errno::AGAIN));
        let goes_on =
            is_alive && self.until > Instant::now() && self.socket.is_owing() != Some(false);
        if self.shuts_down && !goes_on {
            let _ = sys::shutdown(self.socket.tcp(), libc::SHUT_WR);
        }
        goes_on
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
