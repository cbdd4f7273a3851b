use crate::dtls::v12;

/// The number of a record: its epoch, and its place among the records of that epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "RFC 6347 section 4.1 has two")]
pub struct RecordNumber {
    /// How often the keys have changed: 0 is plaintext.
    pub epoch: u16,
    /// Counts the records of one epoch: below 2^48.
    pub seq: u64,
}

impl RecordNumber {
    /// The last sequence number of an epoch: six bytes are sent.
    pub const MAX_SEQ: u64 = (1 << 48) - 1;

    /// Both as DTLS 1.2 sends and authenticates them, two bytes and six.
    #[inline]
    pub(super) const fn to_u64(self) -> u64 {
        ((self.epoch as u64) << 48) | (self.seq & Self::MAX_SEQ)
    }

    #[inline]
    pub(super) const fn from_u64(both: u64) -> Self {
        Self {
            epoch: (both >> 48) as u16,
            seq: both & Self::MAX_SEQ,
        }
    }
}

/// The numbers of the records in a DTLS 1.2 datagram without connection IDs, as their headers say
/// them, up to the first that is incomplete. What another record layer sends and receives before a
/// hand-over is followed with it.
pub fn record_numbers(datagram: &[u8]) -> impl Iterator<Item = RecordNumber> + '_ {
    let mut rest = datagram;
    core::iter::from_fn(move || {
        let header = v12::Header::parse(rest, 0).ok()?;
        rest = rest.get(header.record_len..)?;
        Some(header.number)
    })
}
