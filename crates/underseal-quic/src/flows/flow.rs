use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use underseal_record::TrafficSecret;
use underseal_record::quic::{Opened, Outgoing, PacketOpener, PacketSealer, Refused, Version};

use crate::flows::{ConnectionId, NotOpened};

/// Both directions of one connection.
pub struct Flow {
    send: Mutex<PacketSealer>,
    receive: Mutex<PacketOpener>,
}

impl Flow {
    pub(crate) fn new(version: Version, send: TrafficSecret, receive: TrafficSecret) -> Self {
        Self {
            send: Mutex::new(PacketSealer::new(version, send)),
            receive: Mutex::new(PacketOpener::new(version, receive)),
        }
    }

    /// Seals a train of packets with short headers: writes the next packet numbers and the key phase into
    /// their headers, whose low two bits say how long a number is, and seals them in place. How many were
    /// sealed; what became of each, and its number, is noted in it.
    ///
    /// Several threads may do so at once: the numbers of a train follow each other, and no thread
    /// waits until another has sealed. Only what was sealed may be sent.
    pub fn seal(&self, packets: &mut [Outgoing<'_>]) -> usize {
        let mut sealer = self.sealer();
        sealer.write_numbers(packets);
        let claimed = sealer.claim(packets);
        drop(sealer);
        claimed.seal()
    }

    /// Says that the peer acknowledged `number`. Where the key has sealed so much that it should be
    /// updated, that starts a key update; whether it did.
    pub fn acknowledged(&self, number: u64) -> bool {
        let mut sealer = self.sealer();
        sealer.wants_update() && sealer.update(Some(number)).is_ok()
    }

    /// Starts a key update. `acknowledged` is the largest number that the peer has acknowledged.
    ///
    /// # Errors
    ///
    /// [`Refused::UpdateTooEarly`].
    pub fn update_key(&self, acknowledged: Option<u64>) -> Result<(), Refused> {
        self.sealer().update(acknowledged)
    }

    /// Forgets the keys from before the peer's last key update; three probe timeouts after it.
    pub fn discard_previous_key(&self) {
        self.opener().discard_previous();
    }

    /// Uses no packet number below `next`, as where another owner of the keys did.
    pub fn skip_to(&self, next: u64) {
        self.sealer().skip_to(next);
    }

    /// The generations of the keys that seal, and that open.
    pub fn generations(&self) -> (u64, u64) {
        (self.sealer().generation(), self.opener().generation())
    }

    /// How many packets did not authenticate.
    pub fn failures(&self) -> u64 {
        self.opener().failures()
    }

    /// Opens one packet, and answers a key update that it brings.
    pub(crate) fn open(&self, packet: &mut [u8]) -> Result<Opened, NotOpened> {
        let mut opener = self.opener();
        let before = opener.generation();
        let opened = opener.open(packet, ConnectionId::NUMBER_AT)?;
        let now = opener.generation();
        drop(opener);
        if now != before {
            self.sealer().follow(now)?;
        }
        Ok(opened)
    }

    fn sealer(&self) -> MutexGuard<'_, PacketSealer> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opener(&self) -> MutexGuard<'_, PacketOpener> {
        self.receive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (send, receive) = self.generations();
        f.debug_struct("Flow")
            .field("send_generation", &send)
            .field("receive_generation", &receive)
            .finish_non_exhaustive()
    }
}
