//! What the owner of a stream asks of its session, which does no I/O: the stream does it with its
//! next write, flush or shutdown. The other way round, what the session tells of the stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Between a session and its stream, which have one owner: the order of memory does not matter.
#[derive(Debug)]
pub(crate) struct Orders {
    any: AtomicBool,
    close_notify: AtomicBool,
    key_update: AtomicBool,
    /// Bytes that may wait for the socket; [`NO_LIMIT`] if that was not asked for.
    buffer_limit: AtomicU64,
    wants_read: AtomicBool,
    wants_write: AtomicBool,
}

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
            buffer_limit: AtomicU64::new(buffer_limit),
            wants_read: AtomicBool::new(true),
            wants_write: AtomicBool::new(false),
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
        self.buffer_limit.store(limit, Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    pub(crate) fn buffer_limit(&self) -> u64 {
        self.buffer_limit.load(Ordering::Relaxed)
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
        self.wants_read.store(wants_read, Ordering::Relaxed);
        self.wants_write.store(wants_write, Ordering::Relaxed);
    }

    pub(crate) fn wants_read(&self) -> bool {
        self.wants_read.load(Ordering::Relaxed)
    }

    /// What was asked for is to be sent, too.
    pub(crate) fn wants_write(&self) -> bool {
        let asked = [&self.wants_write, &self.close_notify, &self.key_update];
        asked.iter().any(|asked| asked.load(Ordering::Relaxed))
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self::with_limit(NO_LIMIT)
    }
}
