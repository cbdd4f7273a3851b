use std::fmt;

use underseal_record::ContentType;
use underseal_record::dtls::{RecordNumber, Sealer};

use super::{Out, seal_and_send};

/// Numbers that are known of one record: it is repeated under a new one each time.
const MAX_NUMBERS: usize = 16;

/// Records of the handshake that the peer has not acknowledged: a client's last flight, a server's
/// tickets.
#[derive(Default)]
pub(crate) struct Flight {
    /// What seals those of the handshake's own epoch.
    handshake: Option<Sealer>,
    records: Vec<Unacknowledged>,
}

/// The body of a record, and the numbers that it was sent under.
#[derive(Debug)]
struct Unacknowledged {
    body: Vec<u8>,
    numbers: Vec<RecordNumber>,
}

#[cfg(any(feature = "boring", all(test, feature = "openssl")))]
impl Flight {
    /// Of records that `handshake` seals, or the association's own key where that is `None`.
    pub(crate) fn new(handshake: Option<Sealer>) -> Self {
        Self {
            handshake,
            records: Vec::new(),
        }
    }

    /// Adds a record that was sent, or notes that it was sent again.
    pub(crate) fn sent(&mut self, number: RecordNumber, body: &[u8]) {
        match self.records.iter_mut().find(|record| record.body == body) {
            Some(record) => record.numbers.push(number),
            None => self.records.push(Unacknowledged {
                body: body.to_vec(),
                numbers: vec![number],
            }),
        }
    }
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn acknowledged(&mut self, number: RecordNumber) {
        self.records
            .retain(|record| !record.numbers.contains(&number));
        if self.records.is_empty() {
            // With its key.
            *self = Self::default();
        }
    }

    pub(super) fn repeat(&mut self, out: &mut Out<'_>) {
        for record in &mut self.records {
            let sealer = match &mut self.handshake {
                Some(handshake) => handshake,
                None => &mut *out.sealer,
            };
            let sent = seal_and_send(sealer, ContentType::HANDSHAKE, &record.body, out.send);
            if let Some(number) = sent {
                if record.numbers.len() == MAX_NUMBERS {
                    record.numbers.remove(0);
                }
                record.numbers.push(number);
            }
        }
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}
