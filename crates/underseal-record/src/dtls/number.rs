use crate::ProtocolVersion;
use crate::dtls::{v12, v13};

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

/// The records in a DTLS 1.2 datagram without connection IDs, each with its number as its header says
/// it, up to the first that is incomplete. What another record layer sends and receives before a
/// hand-over is followed with it.
pub fn numbered_records(datagram: &[u8]) -> impl Iterator<Item = (RecordNumber, &[u8])> {
    let mut rest = datagram;
    core::iter::from_fn(move || {
        let header = v12::Header::parse(rest, 0).ok()?;
        let (record, after) = rest.split_at_checked(header.record_len)?;
        rest = after;
        Some((header.number, record))
    })
}

/// The version of the first record in a datagram that is under keys, as its header says it: what
/// another record layer sends and receives in the clear stands before it. `None` where there is none.
///
/// Records with connection IDs of DTLS 1.2 are not looked for: nobody has one before a hand-over.
pub fn protected_version(datagram: &[u8]) -> Option<ProtocolVersion> {
    let mut rest = datagram;
    loop {
        if v13::has_unified_header(rest) {
            return Some(ProtocolVersion::Tls13);
        }
        let header = v12::Header::parse(rest, 0).ok()?;
        if header.number.epoch > 0 {
            return Some(ProtocolVersion::Tls12);
        }
        rest = rest.get(header.record_len..)?;
    }
}

/// Adds `by` to the sequence number of each plaintext record in a DTLS 1.2 datagram, as six bytes
/// wrap. Nothing authenticates those numbers: whoever made a part of a handshake for another library
/// makes the numbers of the rest go on from there.
pub fn shift_plaintext_numbers(datagram: &mut [u8], by: u64) {
    let mut rest = datagram;
    while let Ok(header) = v12::Header::parse(rest, 0) {
        let (record, after) = rest.split_at_mut(header.record_len);
        if header.number.epoch == 0 {
            let shifted = RecordNumber {
                epoch: 0,
                seq: header.number.seq.wrapping_add(by),
            };
            record[v12::NUMBER..][..8].copy_from_slice(&shifted.to_u64().to_be_bytes());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_under_keys_says_its_version() {
        let plain = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let sealed = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 1, 9];
        let unified = [0x2e, 0, 1, 0, 1, 9];
        let of = |records: &[&[u8]]| protected_version(&records.concat());
        assert_eq!(of(&[&plain, &plain]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[&plain, &plain[..5]]), None);
        assert_eq!(of(&[&plain, &sealed]), Some(ProtocolVersion::Tls12));
        assert_eq!(of(&[&plain, &unified]), Some(ProtocolVersion::Tls13));
        assert_eq!(of(&[&unified, &sealed]), Some(ProtocolVersion::Tls13));
    }

    #[test]
    fn records_are_told_apart_up_to_the_first_that_is_incomplete() {
        let plain = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 9];
        let sealed = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 2, 9, 9];
        let number = |epoch, seq| RecordNumber { epoch, seq };
        let expected = [(number(0, 2), &plain[..]), (number(1, 7), &sealed[..])];
        let whole = [&plain[..], &sealed].concat();
        for rest in [&[][..], &plain[..13], &sealed[..14]] {
            let datagram = [&whole, rest].concat();
            let records: Vec<_> = numbered_records(&datagram).collect();
            assert_eq!(records, expected);
        }
    }

    #[test]
    fn plaintext_numbers_are_shifted_and_no_others() {
        let plain = |seq: u8| [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, seq, 0, 1, 9];
        let sealed = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 1, 9];
        let mut datagram = [plain(0), plain(1), sealed].concat();
        shift_plaintext_numbers(&mut datagram, 3);
        assert_eq!(datagram, [plain(3), plain(4), sealed].concat());
        shift_plaintext_numbers(&mut datagram, 3_u64.wrapping_neg());
        assert_eq!(datagram, [plain(0), plain(1), sealed].concat());
    }
}
