//! What the owner of a stream asks of its session, which does no I/O: the stream does it with its
//! next write, flush or shutdown. The other way round, what the session tells of the stream.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

/// Between a session and its stream, which have one owner: the order of memory does not matter. Eight
/// bytes, which malloc has room for beside what an `Arc` counts.
#[derive(Debug)]
pub(crate) struct Orders {
    any: AtomicBool,
    close_notify: AtomicBool,
    key_update: AtomicBool,
    /// Of [`WANTS_READ`] and [`WANTS_WRITE`].
    wants: AtomicU8,
    /// Bytes that may wait for the socket; `u32::MAX`, which is more than ever do, if that was not
    /// asked for.
    buffer_limit: AtomicU32,
}

const WANTS_READ: u8 = 1;
const WANTS_WRITE: u8 = 2;

pub(crate) const NO_LIMIT: u64 = u64::MAX;

/// What was asked for since the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) close_notify: bool,
    pub(crate) key_update: bool,
}

impl Orders {
    pub(crate) fn with_limit(buffer_limit: u64) -> Self {
        Self {
            any: AtomicBool::new(buffer_limit != NO_LIMIT),
            close_notify: AtomicBool::new(false),
            key_update: AtomicBool::new(false),
            wants: AtomicU8::new(WANTS_READ),
            buffer_limit: AtomicU32::new(in_range(buffer_limit)),
        }
    }

    pub(crate) fn send_close_notify(&self) {
        self.close_notify.store(true, Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    pub(crate) fn update_key(&self) {
        self.key_update.store(true, Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_buffer_limit(&self, limit: Option<usize>) {
        let limit = limit.map_or(NO_LIMIT, |limit| limit as u64);
        self.buffer_limit.store(in_range(limit), Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    pub(crate) fn buffer_limit(&self) -> u64 {
        match self.buffer_limit.load(Ordering::Relaxed) {
            u32::MAX => NO_LIMIT,
            limit => limit.into(),
        }
    }

    /// `None` if nothing new was asked for, be it another limit.
    pub(crate) fn take(&self) -> Option<Asked> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.any.store(false, Ordering::Relaxed);
        Some(Asked {
            close_notify: self.close_notify.swap(false, Ordering::Relaxed),
            key_update: self.key_update.swap(false, Ordering::Relaxed),
        })
    }

    /// Notes what the stream would do next.
    pub(crate) fn tell(&self, wants_read: bool, wants_write: bool) {
        let read = if wants_read { WANTS_READ } else { 0 };
        let write = if wants_write { WANTS_WRITE } else { 0 };
        self.wants.store(read | write, Ordering::Relaxed);
    }

    pub(crate) fn wants_read(&self) -> bool {
        self.wants.load(Ordering::Relaxed) & WANTS_READ != 0
    }

    /// What was asked for is to be sent, too.
    pub(crate) fn wants_write(&self) -> bool {
        let asked = [&self.close_notify, &self.key_update];
        self.wants.load(Ordering::Relaxed) & WANTS_WRITE != 0
            || asked.iter().any(|asked| asked.load(Ordering::Relaxed))
    }
}

/// More than fits is more than ever waits.
fn in_range(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

impl Default for Orders {
    fn default() -> Self {
        Self::with_limit(NO_LIMIT)
    }
}
