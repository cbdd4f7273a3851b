use std::sync::Arc;

use underseal_record::dtls::NoClientHello;

use crate::Counters;
use crate::counters::{Count, Tally};

/// Why a datagram came to no association and no handshake. Nothing answers any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unadmitted {
    /// It is shorter than the header of a record.
    #[error("datagram is too short for a record")]
    Truncated,
    /// There is no association with this address, and it is no ClientHello.
    #[error("no association with this address")]
    Address,
    /// No association has this connection ID.
    #[error("no association with this connection ID")]
    ConnectionId,
    /// A ClientHello in pieces: they would have to be kept for somebody who need not exist.
    #[error("ClientHello is fragmented")]
    Fragmented,
    /// A ClientHello of a version before DTLS 1.2.
    #[error("ClientHello of another version")]
    Version,
    /// What is no ClientHello although it says so.
    #[error("malformed ClientHello")]
    Malformed,
    /// There are as many handshakes as may be.
    #[error("as many handshakes as may be")]
    Handshakes,
    /// There are as many associations as may be, or the listener takes no more.
    #[error("as many associations as may be")]
    Associations,
    /// The worker that it is for has too many datagrams waiting.
    #[error("worker does not keep up")]
    Worker,
}

impl Unadmitted {
    /// How many reasons there are.
    pub const COUNT: usize = 9;

    /// Every reason, in the order of [`Self::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Truncated,
        Self::Address,
        Self::ConnectionId,
        Self::Fragmented,
        Self::Version,
        Self::Malformed,
        Self::Handshakes,
        Self::Associations,
        Self::Worker,
    ];

    /// Its place in [`Self::ALL`]: for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used by metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "no_header",
            Self::Address => "address",
            Self::ConnectionId => "unknown_connection_id",
            Self::Fragmented => "fragmented_hello",
            Self::Version => "version",
            Self::Malformed => "malformed_hello",
            Self::Handshakes => "handshakes",
            Self::Associations => "associations",
            Self::Worker => "worker",
        }
    }
}

impl From<NoClientHello> for Unadmitted {
    fn from(why: NoClientHello) -> Self {
        match why {
            NoClientHello::Fragmented => Self::Fragmented,
            NoClientHello::Version => Self::Version,
            NoClientHello::Malformed => Self::Malformed,
            _ => Self::Address,
        }
    }
}

/// What a listener has sent, received and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerCounters {
    /// The records of all associations there are and were.
    pub records: Counters,
    /// HelloVerifyRequests sent.
    pub verify_requests: u64,
    /// Handshakes begun, with a cookie.
    pub handshakes: u64,
    /// Handshakes that failed, or were not over in time.
    pub handshakes_failed: u64,
    /// Payloads that came from another address than their association's, found by its connection ID.
    pub moved: u64,
    unadmitted: [u64; Unadmitted::COUNT],
}

impl ListenerCounters {
    /// Datagrams dropped for this reason.
    pub fn unadmitted(&self, reason: Unadmitted) -> u64 {
        self.unadmitted[reason.index()]
    }

    /// Datagrams dropped for any reason.
    pub fn all_unadmitted(&self) -> u64 {
        self.unadmitted.iter().sum()
    }
}

/// The counters, as they are counted.
#[derive(Debug, Default)]
pub(super) struct ListenerTally {
    pub(super) records: Arc<Tally>,
    pub(super) verify_requests: Count,
    pub(super) handshakes: Count,
    pub(super) handshakes_failed: Count,
    pub(super) moved: Count,
    unadmitted: [Count; Unadmitted::COUNT],
}

impl ListenerTally {
    pub(super) fn unadmitted(&self, reason: Unadmitted) {
        self.unadmitted[reason.index()].one();
    }

    pub(super) fn read(&self) -> ListenerCounters {
        ListenerCounters {
            records: self.records.read(),
            verify_requests: self.verify_requests.get(),
            handshakes: self.handshakes.get(),
            handshakes_failed: self.handshakes_failed.get(),
            moved: self.moved.get(),
            unadmitted: std::array::from_fn(|index| self.unadmitted[index].get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_list_and_names_differ_from_those_of_records() {
        for (place, reason) in Unadmitted::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
            let records = crate::Discard::ALL.map(|discard| discard.name());
            assert!(!records.contains(&reason.name()));
        }
    }
}
