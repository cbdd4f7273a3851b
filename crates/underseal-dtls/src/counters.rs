use std::sync::atomic::{AtomicU64, Ordering};

use underseal_record::dtls::Discard;

/// What an association has sent, received and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Records sealed, and given to the socket or to a train of it.
    pub sealed: u64,
    /// Authentic records opened.
    pub opened: u64,
    /// Payloads that were opened, and that a program dropped.
    pub refused: u64,
    /// ICMP errors that the socket reported, and that changed nothing.
    pub icmp_errors: u64,
    /// How often the handshake's last flight was sent again, or a message that followed it.
    pub flights_resent: u64,
    dropped: [u64; Discard::COUNT],
}

impl Counters {
    /// Records dropped for this reason; a datagram of which no record was looked at counts once
    /// ([`Discard::Displaced`], [`Discard::Ended`]).
    pub fn dropped(&self, reason: Discard) -> u64 {
        self.dropped[reason.index()]
    }

    /// Records dropped for any reason.
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// The counters, as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sealed: Count,
    pub(crate) opened: Count,
    pub(crate) refused: Count,
    pub(crate) icmp_errors: Count,
    pub(crate) flights_resent: Count,
    dropped: [Count; Discard::COUNT],
}

/// Counts events of several threads, none of which waits for another.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.more(1);
    }

    fn more(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    pub(crate) fn dropped(&self, reason: Discard) {
        self.dropped[reason.index()].one();
    }

    /// As many were displaced before the end of their handshake.
    #[cfg(any(feature = "boring", feature = "openssl"))]
    pub(crate) fn displaced(&self, count: u64) {
        self.dropped[Discard::Displaced.index()].more(count);
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            sealed: self.sealed.get(),
            opened: self.opened.get(),
            refused: self.refused.get(),
            icmp_errors: self.icmp_errors.get(),
            flights_resent: self.flights_resent.get(),
            dropped: std::array::from_fn(|index| self.dropped[index].get()),
        }
    }
}
