//! A connection that this library keeps open for a look of its own, or for as long as something is to be sent.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::connection::Socket;

/// Who closes a connection can tell these references from calls of the program's.
pub(super) struct Kept(ManuallyDrop<Arc<Socket>>);

impl Kept {
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        socket.kept.fetch_add(1, Ordering::SeqCst);
        Self(ManuallyDrop::new(socket))
    }

    /// Nothing where the program has closed it.
    pub(super) fn upgrade(socket: &Weak<Socket>) -> Option<Self> {
        socket.upgrade().map(Self::new)
    }
}

impl Deref for Kept {
    type Target = Arc<Socket>;

    fn deref(&self) -> &Arc<Socket> {
        &self.0
    }
}

impl Drop for Kept {
    /// Where that closes the TCP socket nobody waits for the peer: who was to, by `SO_LINGER`, is gone.
    fn drop(&mut self) {
        // SAFETY: it is there until here, and nobody reaches it from here on.
        let socket = unsafe { ManuallyDrop::take(&mut self.0) };
        socket.kept.fetch_sub(1, Ordering::SeqCst);
        if let Some(socket) = Arc::into_inner(socket)
            && socket.is_last()
            && socket.linger().is_some_and(|time| !time.is_zero())
        {
            socket.set_linger(Duration::ZERO);
        }
    }
}
