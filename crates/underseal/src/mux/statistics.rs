use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use underseal_message::ParseError;

use super::Closed;

/// What a [`super::Mux`] did since it was made, and has now. The counters are read one after the
/// other, while others go on counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "/proc/net/kcm_stats")]
pub struct Statistics {
    /// Connections that were attached.
    pub attached: u64,
    /// Connections that were detached.
    pub detached: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Messages that were handed out.
    pub rx_messages: u64,
    /// Bytes of these.
    pub rx_bytes: u64,
    /// Replies that were accepted.
    pub tx_messages: u64,
    /// Bytes of these.
    pub tx_bytes: u64,
    /// Connections that wait for a worker now.
    pub waiting: u64,
    /// Workers that were woken.
    pub woken: u64,
    /// Connections that were aborted.
    pub aborted: u64,
    /// Connections whose peer did not read what it was sent.
    pub timed_out: u64,
    /// Connections that ended because a message was dropped before it was finished.
    pub dropped: u64,
    /// Streams that ended because a message was longer than it may be.
    pub too_long: u64,
    /// Streams that ended because a length field said what cannot be.
    pub bad_length: u64,
    /// Streams that ended because of what else a parser found.
    pub malformed: u64,
    /// Streams that ended inside of a message.
    pub truncated: u64,
    /// Connections that ended because a reply was not whole messages.
    pub bad_replies: u64,
    /// Connections whose stream failed.
    pub failed: u64,
    /// Connections whose parser or stream panicked.
    pub panicked: u64,
}

/// The counters behind [`Statistics`], but for what the schedule counts.
#[derive(Default)]
pub(super) struct Counters {
    attached: AtomicU64,
    detached: AtomicU64,
    closed: AtomicU64,
    rx_messages: AtomicU64,
    rx_bytes: AtomicU64,
    tx_messages: AtomicU64,
    tx_bytes: AtomicU64,
    aborted: AtomicU64,
    timed_out: AtomicU64,
    dropped: AtomicU64,
    too_long: AtomicU64,
    bad_length: AtomicU64,
    malformed: AtomicU64,
    truncated: AtomicU64,
    bad_replies: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
}

impl Counters {
    pub(super) fn attached(&self) {
        self.attached.fetch_add(1, Relaxed);
    }

    pub(super) fn detached(&self) {
        self.detached.fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, len: usize) {
        self.rx_messages.fetch_add(1, Relaxed);
        self.rx_bytes.fetch_add(len as u64, Relaxed);
    }

    pub(super) fn replied(&self, len: usize) {
        self.tx_messages.fetch_add(1, Relaxed);
        self.tx_bytes.fetch_add(len as u64, Relaxed);
    }

    pub(super) fn closed(&self, why: &Closed) {
        self.closed.fetch_add(1, Relaxed);
        let reason = match why {
            Closed::ByPeer | Closed::ByOwner | Closed::Shutdown => return,
            Closed::Aborted => &self.aborted,
            Closed::SendTimeout => &self.timed_out,
            Closed::Framing(ParseError::TooLong { .. }) => &self.too_long,
            Closed::Framing(ParseError::BadLength { .. }) => &self.bad_length,
            Closed::Framing(ParseError::Truncated { .. }) => &self.truncated,
            Closed::Framing(_) => &self.malformed,
            Closed::BadReply(_) => &self.bad_replies,
            Closed::Abandoned => &self.dropped,
            Closed::Panicked => &self.panicked,
            Closed::Io(_) => &self.failed,
        };
        reason.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Statistics {
            attached: read(&self.attached),
            detached: read(&self.detached),
            closed: read(&self.closed),
            rx_messages: read(&self.rx_messages),
            rx_bytes: read(&self.rx_bytes),
            tx_messages: read(&self.tx_messages),
            tx_bytes: read(&self.tx_bytes),
            waiting: 0,
            woken: 0,
            aborted: read(&self.aborted),
            timed_out: read(&self.timed_out),
            dropped: read(&self.dropped),
            too_long: read(&self.too_long),
            bad_length: read(&self.bad_length),
            malformed: read(&self.malformed),
            truncated: read(&self.truncated),
            bad_replies: read(&self.bad_replies),
            failed: read(&self.failed),
            panicked: read(&self.panicked),
        }
    }
}
