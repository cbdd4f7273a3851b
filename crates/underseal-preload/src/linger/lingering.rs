//! A connection that still has something to send, whose program has closed it, ended it, or left it alone. As in the
//! kernel it goes on until the peer has taken all of it or is gone. How long a peer may take nothing is TCP's to say,
//! with the options of it that the program has set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use underseal_ulp::is_passing;

use super::Kept;
use crate::connection::Socket;
use crate::sys;

/// How long a socket that takes nothing is left alone: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Lingering {
    socket: Kept,
    /// Whether the sending direction ends behind it.
    shuts_down: bool,
    progress: Mutex<Progress>,
}

/// How far a socket that lingers has come.
struct Progress {
    owed: usize,
    /// When the peer last took something.
    taken: Instant,
    /// When the socket is tried again, and how long it is left alone then.
    next: Instant,
    wait: Duration,
    is_over: bool,
    /// Whether something came since the last look began.
    has_more: bool,
}

impl Lingering {
    pub(super) fn new(socket: Kept, shuts_down: bool) -> Self {
        let now = Instant::now();
        let progress = Progress {
            owed: usize::MAX,
            taken: now,
            next: now,
            wait: FIRST_WAIT,
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

    pub(super) fn is_over(&self) -> bool {
        self.progress().is_over
    }

    /// When it is to be looked at again.
    pub(super) fn next(&self) -> Instant {
        self.progress().next
    }

    /// When the peer last took something of it.
    pub(super) fn taken(&self) -> Instant {
        self.progress().taken
    }

    pub(super) fn is_of(&self, socket: &Arc<Socket>) -> bool {
        Arc::ptr_eq(&self.socket, socket)
    }

    /// Goes on for another of the same socket, unless it is over.
    pub(super) fn goes_on_for(&self, other: &Self) -> bool {
        if !self.is_of(&other.socket) || self.shuts_down != other.shuts_down {
            return false;
        }
        let mut progress = self.progress();
        progress.has_more = !progress.is_over;
        progress.next = Instant::now();
        progress.has_more
    }

    /// Sends what the socket takes, if it is time for that.
    pub(super) fn go_on(&self, now: Instant) {
        {
            let mut progress = self.progress();
            if progress.is_over || progress.next > now {
                return;
            }
            progress.has_more = false;
        }
        let sent = self.socket.try_end_record();
        let is_alive = sent.err().is_none_or(is_passing) && !self.is_reset();
        let owed = self.socket.owed();
        let mut progress = self.progress();
        progress.note(owed, now);
        let is_sent = owed == Some(0) && !progress.has_more;
        if !is_alive || is_sent {
            self.end(&mut progress);
        }
    }

    /// Whether it is to be thrown away (`SO_LINGER`), and the last call on it is over.
    fn is_reset(&self) -> bool {
        let is_only = Arc::strong_count(&self.socket) == 1 && self.socket.is_last();
        is_only && self.socket.linger().is_some_and(|time| time.is_zero())
    }

    /// Gives up what is left.
    pub(super) fn give_up(&self) {
        self.end(&mut self.progress());
    }

    fn end(&self, progress: &mut Progress) {
        if self.shuts_down && !progress.is_over {
            let _ = sys::shutdown(self.socket.tcp(), libc::SHUT_WR);
        }
        progress.is_over = true;
    }
}

impl Progress {
    /// Notes what a look found: `owed` bytes, or nothing where somebody else is sending.
    fn note(&mut self, owed: Option<usize>, now: Instant) {
        let is_less = owed.is_some_and(|owed| owed < self.owed);
        self.owed = owed.unwrap_or(self.owed);
        if is_less || self.has_more {
            self.taken = now;
            self.wait = FIRST_WAIT;
        } else {
            self.wait = (2 * self.wait).min(LONGEST_WAIT);
        }
        self.next = now + self.wait;
    }
}
