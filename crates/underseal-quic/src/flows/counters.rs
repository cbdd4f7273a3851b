use std::sync::atomic::{AtomicU64, Ordering};

use underseal_record::quic::Dropped;

use crate::flows::NotOpened;

/// What a connection has sealed, opened and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets sealed.
    pub sealed: u64,
    /// Authentic packets opened.
    pub opened: u64,
    pub(crate) dropped: [u64; Dropped::COUNT],
}

impl Counters {
    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason.index()]
    }

    /// Packets dropped for any reason.
    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// Datagrams that came for no connection, by the [`NotOpened`] that each was handed back with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strays {
    /// [`NotOpened::TooShort`].
    pub too_short: u64,
    /// [`NotOpened::NotQuic`].
    pub not_quic: u64,
    /// [`NotOpened::LongHeader`].
    pub long_header: u64,
    /// [`NotOpened::UnknownConnection`].
    pub unknown_connection: u64,
    /// [`NotOpened::NoKeys`].
    pub no_keys: u64,
}

/// The strays, as threads count them, none of which waits for another.
#[derive(Default)]
pub(crate) struct StrayTally {
    too_short: AtomicU64,
    not_quic: AtomicU64,
    long_header: AtomicU64,
    unknown_connection: AtomicU64,
    no_keys: AtomicU64,
}

impl StrayTally {
    #[cold]
    pub(crate) fn count(&self, why: NotOpened) {
        let counter = match why {
            NotOpened::TooShort => &self.too_short,
            NotOpened::NotQuic => &self.not_quic,
            NotOpened::LongHeader => &self.long_header,
            NotOpened::UnknownConnection => &self.unknown_connection,
            NotOpened::NoKeys => &self.no_keys,
            // It is of a connection, which counts it.
            NotOpened::Dropped(_) | NotOpened::KeyUpdate(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Strays {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Strays {
            too_short: read(&self.too_short),
            not_quic: read(&self.not_quic),
            long_header: read(&self.long_header),
            unknown_connection: read(&self.unknown_connection),
            no_keys: read(&self.no_keys),
        }
    }
}
