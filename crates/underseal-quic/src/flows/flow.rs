use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use underseal_record::TrafficSecret;
use underseal_record::quic::{
    Dropped, Opened, Outgoing, PacketOpener, PacketSealer, Refused, Version,
};

use crate::flows::{ConnectionId, Counters, NotOpened};

/// Both directions of one connection. Who takes both locks takes the receiving direction's first.
pub struct Flow {
    send: Mutex<PacketSealer>,
    receive: Mutex<Receive>,
    /// Packets sealed: counted when they are, and so without the lock.
    sealed: AtomicU64,
}

/// The direction from the peer.
struct Receive {
    opener: PacketOpener,
    opened: u64,
    dropped: [u64; Dropped::COUNT],
}

impl Receive {
    fn open(&mut self, packet: &mut [u8]) -> Result<Opened, Dropped> {
        let opened = self.opener.open(packet, ConnectionId::NUMBER_AT);
        match &opened {
            Ok(_) => self.opened += 1,
            Err(why) => self.dropped[why.index()] += 1,
        }
        opened
    }
}

impl Flow {
    pub(crate) fn new(version: Version, send: TrafficSecret, receive: TrafficSecret) -> Self {
        Self {
            send: Mutex::new(PacketSealer::new(version, send)),
            receive: Mutex::new(Receive {
                opener: PacketOpener::new(version, receive),
                opened: 0,
                dropped: [0; Dropped::COUNT],
            }),
            sealed: AtomicU64::new(0),
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
        let sealed = claimed.seal();
        self.sealed.fetch_add(sealed as u64, Ordering::Relaxed);
        sealed
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
        self.receive().opener.discard_previous();
    }

    /// Uses no packet number below `next`, as where another owner of the keys did.
    pub fn skip_to(&self, next: u64) {
        self.sealer().skip_to(next);
    }

    /// The generations of the keys that seal, and that open.
    pub fn generations(&self) -> (u64, u64) {
        let receive = self.receive().opener.generation();
        (self.sealer().generation(), receive)
    }

    /// How many packets did not authenticate.
    pub fn failures(&self) -> u64 {
        self.receive().opener.failures()
    }

    /// What was sealed, opened and dropped so far.
    pub fn counters(&self) -> Counters {
        let receive = self.receive();
        Counters {
            sealed: self.sealed.load(Ordering::Relaxed),
            opened: receive.opened,
            dropped: receive.dropped,
        }
    }

    /// Opens one packet, and answers a key update that it brings.
    pub(crate) fn open(&self, packet: &mut [u8]) -> Result<Opened, NotOpened> {
        let mut receive = self.receive();
        let before = receive.opener.generation();
        let opened = receive.open(packet)?;
        let now = receive.opener.generation();
        if now != before {
            // Before another thread opens the next packet: what is sent in answer to one under new keys is under new ones
            // (RFC 9001 section 6.2), and updates are followed one after the other.
            self.sealer().follow(now)?;
        }
        Ok(opened)
    }

    fn sealer(&self) -> MutexGuard<'_, PacketSealer> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self) -> MutexGuard<'_, Receive> {
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

#[cfg(test)]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use underseal_record::{Algorithm, TAG_LEN};

    use super::*;

    fn secret(fill: u8) -> TrafficSecret {
        TrafficSecret::new(Algorithm::Aes128Gcm, &[fill; 32]).unwrap()
    }

    fn sealed(by: &mut PacketSealer) -> Vec<u8> {
        let mut packet = vec![0x43; ConnectionId::NUMBER_AT + 4 + 1 + TAG_LEN];
        let mut packets = [Outgoing::new(&mut packet, ConnectionId::NUMBER_AT, 0)];
        by.write_numbers(&mut packets);
        assert_eq!(by.seal_batch(&mut packets), 1);
        packet
    }

    #[test]
    fn no_packet_under_new_keys_is_given_to_anybody_who_would_answer_under_old_ones() {
        let flow = Flow::new(Version::V1, secret(1), secret(2));
        let mut peer = PacketSealer::new(Version::V1, secret(2));
        peer.follow(1).unwrap();
        let packets = [(); 2].map(|()| sealed(&mut peer));
        let (tell, opened) = mpsc::channel();
        thread::scope(|scope| {
            // Whoever opens the first of them cannot follow yet.
            let sealer = flow.sealer();
            for mut packet in packets {
                let (flow, tell) = (&flow, tell.clone());
                scope.spawn(move || tell.send(flow.open(&mut packet)));
            }
            let early = opened.recv_timeout(Duration::from_millis(100));
            let generation = sealer.generation();
            drop(sealer);
            assert!(
                early.is_err(),
                "{early:?}, and sends in generation {generation}"
            );
        });
        drop(tell);
        let opened: Vec<_> = opened.iter().map(|opened| opened.is_ok()).collect();
        assert_eq!(opened, [true, true]);
        assert_eq!(flow.generations(), (1, 1));
    }
}
