//! A record that stays open because its writer has said that more follows (`MSG_MORE`). The kernel keeps it for good,
//! and a program that nobody answers waits with it; here it is ended once it was left alone for a while.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use underseal_record::SeqNo;

use super::Kept;
use crate::connection::Socket;

/// How long a record stays open that nothing follows: as a segment of TCP's does.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct OpenRecord {
    socket: Weak<Socket>,
    /// Its number, where that is known.
    record: Option<SeqNo>,
    until: Instant,
}

/// What a look found.
pub(super) enum Seen {
    /// It is early, or another record is open.
    InTime,
    /// Nothing is open, or another look sees to it.
    Over,
    /// The record is to be ended, or, where it is, to be sent.
    Overdue(Kept),
}

impl OpenRecord {
    /// A record that was opened just now; nothing where one of the socket's is looked at already.
    pub(super) fn of(socket: &Socket) -> Option<Self> {
        let is_new = !socket.is_watched.swap(true, Ordering::SeqCst);
        is_new.then(|| Self {
            socket: Weak::clone(&socket.weak),
            record: socket.held_record().ok().flatten(),
            until: Instant::now() + PATIENCE,
        })
    }

    /// When it is to be ended.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn socket(&self) -> Option<Kept> {
        Kept::upgrade(&self.socket)
    }

    pub(super) fn look(&mut self, now: Instant) -> Seen {
        if now < self.until {
            return Seen::InTime;
        }
        let Some(socket) = self.socket() else {
            return Seen::Over;
        };
        // Before the look: who opens a record behind it has that one looked at.
        socket.is_watched.store(false, Ordering::SeqCst);
        let record = match socket.held_record() {
            Ok(None) if socket.owed() == Some(0) => return Seen::Over,
            // It is sealed, and perhaps the socket has not taken it.
            Ok(None) => return Seen::Overdue(socket),
            Ok(record) if record == self.record => return Seen::Overdue(socket),
            Ok(record) => record,
            // Somebody is sending.
            Err(Errno::AGAIN) => None,
            Err(_) => return Seen::Over,
        };
        if socket.is_watched.swap(true, Ordering::SeqCst) {
            return Seen::Over;
        }
        self.record = record;
        self.until = now + PATIENCE;
        Seen::InTime
    }
}
