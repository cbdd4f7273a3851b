//! The packets of many connections behind one socket.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use underseal_record::TrafficSecret;
use underseal_record::quic::{Opened, Version};

mod connection_id;
mod counters;
mod flow;
mod refusal;

pub use connection_id::ConnectionId;
pub use counters::{Counters, Strays};
pub use flow::Flow;
pub use refusal::{NotOpened, NotRegistered};

use connection_id::Numbering;
use counters::StrayTally;

/// The 1-RTT packets of many connections: those that are sent are sealed, those that arrive are opened
/// for the connection that they belong to. It does no I/O, and any number of threads may share it.
///
/// - An arriving packet is found by the index in its connection ID, which only this table can read
///   ([`ConnectionId`]): no hash of a packet is computed, and no lock is shared between connections.
/// - A second send on a connection does not wait until a first is sealed: the lock of a connection is
///   held while numbers are taken.
/// - Key updates are followed and answered here. A packet whose generation has no keys is refused with
///   that reason.
/// - What is not opened stays as it came, but for a payload that was tried under a key.
pub struct QuicFlows {
    slots: Box<[RwLock<Slot>]>,
    numbering: Numbering,
    /// Slots that no connection ID names. Asked when one is issued or retired, never for a packet.
    free: Mutex<Vec<u32>>,
    strays: StrayTally,
}

/// What a connection ID stands for.
enum Slot {
    Free,
    /// Given to a peer, whose handshake is not over.
    Issued(ConnectionId),
    Registered(ConnectionId, Arc<Flow>),
}

impl QuicFlows {
    /// Room for `capacity` connection IDs, 2^24 at most.
    ///
    /// # Errors
    ///
    /// [`NotRegistered::Random`] if the kernel gives no random bytes.
    pub fn new(capacity: usize) -> Result<Self, NotRegistered> {
        let capacity = u32::try_from(capacity.min(1 << 24)).unwrap_or(1 << 24);
        Ok(Self {
            slots: (0..capacity).map(|_| RwLock::new(Slot::Free)).collect(),
            numbering: Numbering::new()?,
            free: Mutex::new((0..capacity).rev().collect()),
            strays: StrayTally::default(),
        })
    }

    /// A connection ID to give to a peer, in the handshake or in a NEW_CONNECTION_ID frame. Packets that
    /// carry it are [`NotOpened::NoKeys`] until it is registered.
    ///
    /// # Errors
    ///
    /// [`NotRegistered::Full`], or [`NotRegistered::Random`] if the kernel gives no random bytes.
    pub fn issue(&self) -> Result<ConnectionId, NotRegistered> {
        let slot = self.free().pop().ok_or(NotRegistered::Full)?;
        let id = match self.numbering.issue(slot) {
            Ok(id) => id,
            Err(error) => {
                self.free().push(slot);
                return Err(error);
            }
        };
        *write(&self.slots[slot as usize]) = Slot::Issued(id);
        Ok(id)
    }

    /// Registers a connection: its peer sends to `id` from now on. `send` and `receive` are the 1-RTT
    /// traffic secrets of both directions, of which nobody else may seal under the first.
    ///
    /// # Errors
    ///
    /// [`NotRegistered::Unknown`] if `id` was not issued here, was registered or was retired.
    pub fn register(
        &self,
        id: ConnectionId,
        version: Version,
        send: TrafficSecret,
        receive: TrafficSecret,
    ) -> Result<Arc<Flow>, NotRegistered> {
        let flow = Arc::new(Flow::new(version, send, receive));
        self.attach(id, &flow)?;
        Ok(flow)
    }

    /// Registers one more connection ID of a connection.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub fn attach(&self, id: ConnectionId, flow: &Arc<Flow>) -> Result<(), NotRegistered> {
        let slot = self.slot(&id).ok_or(NotRegistered::Unknown)?;
        let mut slot = write(slot);
        match *slot {
            Slot::Issued(issued) if issued == id => {
                *slot = Slot::Registered(id, Arc::clone(flow));
                Ok(())
            }
            _ => Err(NotRegistered::Unknown),
        }
    }

    /// Forgets a connection ID: packets that carry it are [`NotOpened::UnknownConnection`]. The flow
    /// seals on as long as somebody has it. Whether there was one.
    pub fn retire(&self, id: &ConnectionId) -> bool {
        let Some(index) = self.index(id.as_bytes()) else {
            return false;
        };
        let mut slot = write(&self.slots[index as usize]);
        match &*slot {
            Slot::Issued(known) | Slot::Registered(known, _) if known == id => {
                *slot = Slot::Free;
                drop(slot);
                self.free().push(index);
                true
            }
            _ => false,
        }
    }

    /// The flow that a connection ID was registered for.
    pub fn flow(&self, id: &ConnectionId) -> Option<Arc<Flow>> {
        self.find(id.as_bytes()).ok()
    }

    /// Opens the datagrams of `train`, of `segment` bytes each but for the last, as UDP GRO delivers
    /// them, and calls `each` with every one and what became of it. How many were opened.
    ///
    /// A datagram that starts with a long header belongs to a handshake and is
    /// [`NotOpened::LongHeader`].
    ///
    /// # Panics
    ///
    /// If `segment` is zero.
    pub fn open_train(
        &self,
        train: &mut [u8],
        segment: usize,
        mut each: impl FnMut(&mut [u8], Result<(&Arc<Flow>, Opened), NotOpened>),
    ) -> usize {
        let (mut opened, mut last) = (0, None);
        for packet in train.chunks_mut(segment) {
            let outcome = match self.find_again(&mut last, packet) {
                Ok(flow) => flow.open(packet).map(|opened| (flow, opened)),
                Err(why) => {
                    self.strays.count(why);
                    Err(why)
                }
            };
            opened += usize::from(outcome.is_ok());
            each(packet, outcome);
        }
        opened
    }

    /// What came for no connection since this table was made; what came for one is counted by its
    /// [`Flow`].
    pub fn strays(&self) -> Strays {
        self.strays.read()
    }

    /// The flow that `packet` is for. Packets of a train are mostly of one connection: that of the one
    /// before is kept in `last`.
    fn find_again<'l>(
        &self,
        last: &'l mut Option<(ConnectionId, Arc<Flow>)>,
        packet: &[u8],
    ) -> Result<&'l Arc<Flow>, NotOpened> {
        let id = ConnectionId::of_packet(packet)?;
        if last.as_ref().is_none_or(|(known, _)| *known != id) {
            let flow = self.find(id.as_bytes())?;
            return Ok(&last.insert((id, flow)).1);
        }
        match last {
            Some((_, flow)) => Ok(flow),
            None => Err(NotOpened::UnknownConnection),
        }
    }

    fn find(&self, id: &[u8; ConnectionId::LEN]) -> Result<Arc<Flow>, NotOpened> {
        let index = self.index(id).ok_or(NotOpened::UnknownConnection)?;
        let slot = &self.slots[index as usize];
        match &*slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Registered(known, flow) if known.as_bytes() == id => Ok(Arc::clone(flow)),
            Slot::Issued(known) if known.as_bytes() == id => Err(NotOpened::NoKeys),
            _ => Err(NotOpened::UnknownConnection),
        }
    }

    fn slot(&self, id: &ConnectionId) -> Option<&RwLock<Slot>> {
        let index = self.index(id.as_bytes())?;
        self.slots.get(index as usize)
    }

    fn index(&self, id: &[u8; ConnectionId::LEN]) -> Option<u32> {
        let index = self.numbering.index(id);
        ((index as usize) < self.slots.len()).then_some(index)
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(slot: &RwLock<Slot>) -> std::sync::RwLockWriteGuard<'_, Slot> {
    slot.write().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for QuicFlows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicFlows")
            .field("capacity", &self.slots.len())
            .finish_non_exhaustive()
    }
}
