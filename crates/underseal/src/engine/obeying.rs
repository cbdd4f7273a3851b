//! What was asked of a session, and the connection does; see [`Orders`](crate::session::Orders).

use std::io;

use super::{Connection, KeyUpdateRequest};
use crate::transport::Transport;

impl Connection {
    /// Does what was asked for since the last call. Programs are asked about what they hold before
    /// close_notify goes out.
    pub(super) fn obey(&mut self, transport: &mut impl Transport) -> io::Result<()> {
        let Some(asked) = self.orders.take() else {
            return Ok(());
        };
        self.limit_buffer();
        if asked.key_update {
            self.ask_for_keys();
        }
        if asked.close_notify && !self.tx.is_closed() {
            let finished = self.finish_sending(transport);
            if finished.is_err() {
                // Whoever comes next tries again.
                self.orders.send_close_notify();
            }
            finished?;
        }
        Ok(())
    }

    /// The same for a connection that is taken apart: what it queues is carried. No program is
    /// attached.
    pub(crate) fn obey_before_parting(&mut self) {
        let Some(asked) = self.orders.take() else {
            return;
        };
        if asked.key_update {
            self.ask_for_keys();
        }
        if asked.close_notify && !self.tx.is_closed() {
            self.tx.queue_close_notify();
        }
    }

    /// Bounds what waits for the socket as the session was asked to.
    pub(super) fn limit_buffer(&mut self) {
        let limit = usize::try_from(self.orders.buffer_limit()).unwrap_or(usize::MAX);
        self.tx.limit_buffer(limit);
    }

    fn ask_for_keys(&mut self) {
        if !self.tx.is_closed() && self.tx.can_update_key() {
            self.tx.want_key_update(KeyUpdateRequest::Requested);
            // What cannot be sealed now is before the next record.
            let _ = self.tx.queue_key_update();
        }
    }

    /// Tells the session what the connection would do next.
    pub(crate) fn tell(&self) {
        let wants_read = self.end.is_none() && self.rx.plaintext().is_empty();
        let wants_write = self.tx.pending_len() > 0 || self.is_early;
        self.orders.tell(wants_read, wants_write);
    }
}
