//! Records that a program was told are sent, of a descriptor that it has closed since: a close_notify at a
//! full socket. A thread sends them, for as long as there are any, as the kernel would.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::connection::Socket;
use crate::sys::{self, address};

/// How long a peer may take nothing of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the thread waits before it looks for more.
const TICK_NS: i64 = 50_000_000;

/// The thread's stack: it does nothing but send.
const STACK: usize = 128 * 1024;

/// How often a lock is tried. It is held for moments, but in a process that came by fork for good if it
/// was held then.
const TRIES: usize = 1000;

struct Lingering {
    socket: Arc<Socket>,
    until: Instant,
}

/// What lingers; nothing while there is no thread.
static LINGERING: Mutex<Option<Vec<Lingering>>> = Mutex::new(None);

/// Runs `with` what lingers, if it can be had.
fn with_lingering<T>(with: impl FnOnce(&mut Option<Vec<Lingering>>) -> T) -> Option<T> {
    for _ in 0..TRIES {
        if let Ok(mut lingering) = LINGERING.try_lock() {
            return Some(with(&mut lingering));
        }
        std::thread::yield_now();
    }
    None
}

/// Sends what the last number of a connection leaves behind. Where no thread can be had it is lost, as is
/// what is left when the process ends.
pub(crate) fn take(socket: Arc<Socket>) {
    if !socket.is_last() || !socket.is_owing() {
        return;
    }
    let until = Instant::now() + PATIENCE;
    let new = Lingering { socket, until };
    with_lingering(|lingering| match lingering {
        Some(all) => all.push(new),
        None if start() => *lingering = Some(vec![new]),
        None => {}
    });
}

/// In a process that came by fork: the thread is not here.
pub(crate) fn forget() {
    if let Ok(mut lingering) = LINGERING.try_lock() {
        let left = lingering.take().unwrap_or_default();
        left.iter().for_each(|lingering| lingering.socket.wipe());
    }
}

/// Starts the thread, which takes none of the program's signals.
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
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    thread.is_ok()
}

fn run() {
    loop {
        let Some(mut all) = with_lingering(|lingering| lingering.replace(Vec::new())).flatten()
        else {
            return;
        };
        wait(&all);
        all.retain(Lingering::goes_on);
        let is_over = with_lingering(|lingering| {
            all.append(lingering.get_or_insert_default());
            let is_over = all.is_empty();
            *lingering = (!is_over).then_some(all);
            is_over
        });
        if is_over != Some(false) {
            return;
        }
    }
}

impl Lingering {
    /// Whether there is anything left to send, and somebody who takes it.
    fn goes_on(&self) -> bool {
        let is_alive = matches!(self.socket.try_flush(), Ok(()) | Err(Errno::AGAIN));
        is_alive && self.until > Instant::now() && self.socket.is_owing()
    }
}

/// Waits until one of the sockets takes more, or for a moment.
fn wait(all: &[Lingering]) {
    let asked = |lingering: &Lingering| libc::pollfd {
        fd: lingering.socket.tcp(),
        events: libc::POLLOUT,
        revents: 0,
    };
    let mut fds: Vec<_> = all.iter().map(asked).collect();
    let mut tick = libc::timespec {
        tv_sec: 0,
        tv_nsec: TICK_NS,
    };
    let arguments = [
        address(fds.as_mut_ptr()),
        fds.len(),
        address(&raw mut tick),
        0,
        0,
    ];
    // SAFETY: the kernel writes to an array that is as long, and to a time that is ours.
    let _ = unsafe { sys::call(libc::SYS_ppoll, arguments) };
}
