//! The unified header of DTLS 1.3 and the encryption of record numbers: RFC 9147 section 4.

use crate::dtls::{ConnectionId, Discard, RecordNumber, v12};
use crate::quic::{HeaderKey, PacketNumber};
use crate::{MAX_PLAINTEXT, TAG_LEN};

/// The first byte: `001CSLEE`.
const FORM: u8 = 0b0010_0000;
const FORM_MASK: u8 = 0b1110_0000;
const HAS_CONNECTION_ID: u8 = 0b0001_0000;
const HAS_LONG_SEQ: u8 = 0b0000_1000;
const HAS_LENGTH: u8 = 0b0000_0100;
const EPOCH_MASK: u8 = 0b0000_0011;

/// Bytes of ciphertext that the mask of a record's number is made of.
const SAMPLE_LEN: usize = 16;
/// Most bytes of ciphertext (RFC 9147 section 4.2.3, as RFC 8446 section 5.2).
const MAX_BODY: usize = MAX_PLAINTEXT + 256;

/// Whether `record` is one of DTLS 1.3 that is under keys, as its first byte says.
pub fn has_unified_header(record: &[u8]) -> bool {
    record
        .first()
        .is_some_and(|first| first & FORM_MASK == FORM)
}

/// A header, its record number still encrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The last two bits of the epoch.
    pub(super) epoch_bits: u8,
    /// Where the sequence number starts, behind the connection ID.
    seq_at: usize,
    seq_len: usize,
    pub(super) len: usize,
    pub(super) record_len: usize,
}

/// What a datagram starts with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Front {
    Protected(Header),
    /// A record of epoch 0, this long.
    Plaintext(usize),
}

impl Front {
    /// The header of the record that `datagram` starts with; `connection_id` is what this side gave
    /// out. Records behind the first of a datagram may leave it out (RFC 9147 section 4).
    ///
    /// # Errors
    ///
    /// Those after which nobody knows where the next record starts.
    #[inline]
    pub(super) fn parse(datagram: &[u8], connection_id: &[u8]) -> Result<Self, Discard> {
        let first = *datagram.first().ok_or(Discard::Truncated)?;
        match first & FORM_MASK {
            FORM => Header::parse(first, datagram, connection_id).map(Self::Protected),
            // The header of DTLS 1.2, of which only the length is of use.
            0 => v12::Header::parse(datagram, 0).map(|plain| Self::Plaintext(plain.record_len)),
            _ => Err(Discard::Header),
        }
    }
}

impl Header {
    #[inline]
    fn parse(first: u8, datagram: &[u8], connection_id: &[u8]) -> Result<Self, Discard> {
        let id_len = match first & HAS_CONNECTION_ID {
            0 => 0,
            _ if connection_id.is_empty() => return Err(Discard::ConnectionId),
            _ => connection_id.len(),
        };
        let seq_at = 1 + id_len;
        let seq_len = if first & HAS_LONG_SEQ == 0 { 1 } else { 2 };
        let length_at = seq_at + seq_len;
        let (len, body_len) = match first & HAS_LENGTH {
            0 => (length_at, datagram.len().checked_sub(length_at)),
            _ => {
                let length = datagram.get(length_at..length_at + 2);
                let length =
                    length.map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
                (length_at + 2, length)
            }
        };
        let body_len = body_len.ok_or(Discard::Truncated)?;
        if body_len > MAX_BODY {
            return Err(Discard::Oversized);
        }
        if datagram.len() < len + body_len {
            return Err(Discard::Truncated);
        }
        if id_len > 0 && datagram[1..seq_at] != *connection_id {
            return Err(Discard::ConnectionId);
        }
        Ok(Self {
            epoch_bits: first & EPOCH_MASK,
            seq_at,
            seq_len,
            len,
            record_len: len + body_len,
        })
    }

    /// Shows the sequence number of `record`, which is then what is authenticated, and finds the
    /// rest of it: the number nearest to `next` (RFC 9147 section 4.2.2).
    ///
    /// # Errors
    ///
    /// [`Discard::TooShort`] for a record without a byte of content.
    #[inline]
    pub(super) fn show_seq(
        &self,
        record: &mut [u8],
        key: &HeaderKey,
        next: u64,
    ) -> Result<u64, Discard> {
        let (header, body) = record.split_at_mut(self.len);
        if body.len() <= TAG_LEN {
            return Err(Discard::TooShort);
        }
        let seq = &mut header[self.seq_at..self.seq_at + self.seq_len];
        mask(key, body, seq)?;
        PacketNumber::decode(seq, next.checked_sub(1)).ok_or(Discard::TooShort)
    }
}

/// Bytes of the header that is written: with 16 bits of sequence number, and the length.
#[inline]
pub(super) fn header_len(connection_id: &ConnectionId) -> usize {
    5 + connection_id.len()
}

/// Writes the header of a record as long as `record`, its number in the clear.
#[inline]
pub(super) fn write_header(record: &mut [u8], number: RecordNumber, connection_id: &ConnectionId) {
    let len = header_len(connection_id);
    let body_len = ((record.len() - len) as u16).to_be_bytes();
    let has_id = match connection_id.is_empty() {
        true => 0,
        false => HAS_CONNECTION_ID,
    };
    record[0] = FORM | has_id | HAS_LONG_SEQ | HAS_LENGTH | (number.epoch as u8 & EPOCH_MASK);
    record[1..len - 4].copy_from_slice(connection_id.as_bytes());
    record[len - 4..len - 2].copy_from_slice(&(number.seq as u16).to_be_bytes());
    record[len - 2..len].copy_from_slice(&body_len);
}

/// Encrypts the sequence number of a sealed record whose header [`write_header`] wrote.
#[inline]
pub(super) fn hide_seq(record: &mut [u8], key: &HeaderKey, connection_id: &ConnectionId) {
    let len = header_len(connection_id);
    let (header, body) = record.split_at_mut(len);
    // A sealed record has at least a content type and a tag.
    let _ = mask(key, body, &mut header[len - 4..len - 2]);
}

/// XORs `seq` with what the first bytes of the ciphertext become under the key: the first bytes of
/// the mask, where QUIC's are the second and those behind it.
#[inline]
fn mask(key: &HeaderKey, body: &[u8], seq: &mut [u8]) -> Result<(), Discard> {
    let sample = body.first_chunk::<SAMPLE_LEN>().ok_or(Discard::TooShort)?;
    for (byte, mask) in seq.iter_mut().zip(key.mask(sample)) {
        *byte ^= mask;
    }
    Ok(())
}
