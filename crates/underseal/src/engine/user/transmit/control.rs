//! Key updates and alerts.

use underseal_record::{AlertDescription, AlertLevel, ContentType};

use super::{State, Transmit};
use crate::Error;
use crate::engine::KeyUpdateRequest;

impl Transmit {
    /// Asks for a KeyUpdate before the next record; [`queue_key_update`](Self::queue_key_update)
    /// seals it.
    pub(crate) fn want_key_update(&mut self, request: KeyUpdateRequest) {
        if self.key_update != Some(KeyUpdateRequest::Requested) {
            self.key_update = Some(request);
        }
    }

    /// Asks for a warning. It is sealed once nothing is pending, however often it was asked for
    /// until then, so that a peer which does not read cannot fill memory with answers.
    pub(crate) fn want_warning(&mut self, description: AlertDescription) {
        self.warning = Some(description);
    }

    pub(super) fn queue_warning(&mut self) {
        if let Some(description) = self.warning.take() {
            self.queue_alert(AlertLevel::Warning, description);
        }
    }

    /// Seals the KeyUpdate that is wanted, if there is one, behind what is pending.
    pub(crate) fn queue_key_update(&mut self) -> Result<(), Error> {
        if self.is_closed() {
            self.key_update = None;
        }
        if self.key_update.is_none() {
            return Ok(());
        }
        self.close_record()?;
        let mut record = vec![0; self.sealer.record_len(KeyUpdateRequest::MESSAGE_LEN)];
        let len = self.seal_due_key_update(&mut record)?;
        self.pending.append(&record[..len]);
        Ok(())
    }

    /// Seals an alert behind what is pending. A fatal one, and close_notify, close the direction.
    pub(crate) fn queue_alert(&mut self, level: AlertLevel, description: AlertDescription) {
        if self.is_closed() {
            return;
        }
        // If the open record may not be sealed, neither may the alert.
        let _ = self.close_record();
        let alert = [level.to_wire(), description.0];
        let mut record = vec![0; self.sealer.record_len(alert.len())];
        let sealed = self.sealer.seal(ContentType::ALERT, &alert, &mut record);
        if level == AlertLevel::Fatal || description == AlertDescription::CLOSE_NOTIFY {
            self.state = State::Closed;
        }
        // Past the hard limit not even an alert may be sealed: the peer sees the TCP stream end.
        if let Ok(sealed) = sealed {
            self.pending.append(&record[..sealed.written]);
        }
    }

    /// Seals a KeyUpdate and switches to the next key, if one was asked for or the soft limit is
    /// reached. Returns the bytes written.
    pub(super) fn seal_due_key_update(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let by_limit = self.sealer.wants_key_update() && self.secret.is_some();
        let due = match self.key_update.take() {
            None if by_limit => KeyUpdateRequest::NotRequested,
            None => return Ok(0),
            Some(request) => request,
        };
        let Some(secret) = &mut self.secret else {
            return Err(Error::unsupported("key update on this connection"));
        };
        let message = due.message();
        let sealed = self.sealer.seal(ContentType::HANDSHAKE, &message, out)?;
        secret.update();
        self.sealer.replace_keys(secret.keys());
        self.sealer.forget_key();
        self.key_updates = self.key_updates.saturating_add(1);
        Ok(sealed.written)
    }
}
