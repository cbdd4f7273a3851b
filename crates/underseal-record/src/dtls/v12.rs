//! Headers and additional data of DTLS 1.2: RFC 6347 section 4.1, RFC 9146 sections 4 and 5.

use crate::dtls::{ConnectionId, Discard, RecordNumber};
use crate::{ContentType, MAX_PLAINTEXT};

/// The version in every record of DTLS 1.2.
const VERSION: [u8; 2] = [0xfe, 0xfd];
/// `tls12_cid`: a record with a connection ID, its content type inside.
pub(super) const TLS12_CID: ContentType = ContentType(25);
/// Bytes of a header without connection ID.
pub(super) const HEADER_LEN: usize = 13;
/// Where the epoch starts, behind type and version.
pub(super) const NUMBER: usize = 3;
/// Where the connection ID starts, or the length.
const CONNECTION_ID: usize = 11;
/// Most bytes behind the header.
const MAX_BODY: usize = MAX_PLAINTEXT + 2048;

/// A header, as far as it can be believed before the record is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) outer: ContentType,
    pub(super) is_ours: bool,
    pub(super) number: RecordNumber,
    pub(super) len: usize,
    pub(super) record_len: usize,
}

impl Header {
    /// The header of the record that `datagram` starts with; `cid_len` is the length of the
    /// connection IDs that this side gave out.
    ///
    /// # Errors
    ///
    /// Those after which nobody knows where the next record starts.
    #[inline]
    pub(super) fn parse(datagram: &[u8], cid_len: usize) -> Result<Self, Discard> {
        let outer = ContentType(*datagram.first().ok_or(Discard::Truncated)?);
        let cid_len = match (outer, cid_len) {
            (TLS12_CID, 0) => return Err(Discard::ConnectionId),
            (TLS12_CID, len) => len,
            _ => 0,
        };
        let len = HEADER_LEN + cid_len;
        let header = datagram.get(..len).ok_or(Discard::Truncated)?;
        let body_len = usize::from(u16::from_be_bytes([header[len - 2], header[len - 1]]));
        if body_len > MAX_BODY {
            return Err(Discard::Oversized);
        }
        if datagram.len() < len + body_len {
            return Err(Discard::Truncated);
        }
        let mut number = [0; 8];
        number.copy_from_slice(&header[NUMBER..CONNECTION_ID]);
        Ok(Self {
            outer,
            is_ours: header[1..NUMBER] == VERSION,
            number: RecordNumber::from_u64(u64::from_be_bytes(number)),
            len,
            record_len: len + body_len,
        })
    }

    /// The connection ID of `record`, which this is the header of.
    #[inline]
    pub(super) fn connection_id<'r>(&self, record: &'r [u8]) -> &'r [u8] {
        &record[CONNECTION_ID..self.len - 2]
    }
}

/// Writes the header of a record as long as `record`.
#[inline]
pub(super) fn write_header(
    record: &mut [u8],
    outer: ContentType,
    number: RecordNumber,
    connection_id: &ConnectionId,
) {
    let len = HEADER_LEN + connection_id.len();
    let body_len = ((record.len() - len) as u16).to_be_bytes();
    record[0] = outer.0;
    record[1..NUMBER].copy_from_slice(&VERSION);
    record[NUMBER..CONNECTION_ID].copy_from_slice(&number.to_u64().to_be_bytes());
    record[CONNECTION_ID..len - 2].copy_from_slice(connection_id.as_bytes());
    record[len - 2..len].copy_from_slice(&body_len);
}

/// Additional data of one record: RFC 6347 section 4.1.2.1, and RFC 9146 section 5.3 where there is
/// a connection ID.
pub(super) struct AdditionalData {
    bytes: [u8; 23 + ConnectionId::MAX_LEN],
    len: usize,
}

impl AdditionalData {
    /// `inner_len` counts the bytes that are sealed.
    #[inline]
    pub(super) fn new(
        outer: ContentType,
        number: RecordNumber,
        connection_id: &[u8],
        inner_len: usize,
    ) -> Self {
        let mut data = Self {
            bytes: [0; 23 + ConnectionId::MAX_LEN],
            len: 0,
        };
        let number = number.to_u64().to_be_bytes();
        let inner_len = (inner_len as u16).to_be_bytes();
        if outer == TLS12_CID {
            data.push(&[0xff; 8]);
            data.push(&[TLS12_CID.0, connection_id.len() as u8, TLS12_CID.0]);
            data.push(&VERSION);
            data.push(&number);
            data.push(connection_id);
        } else {
            data.push(&number);
            data.push(&[outer.0]);
            data.push(&VERSION);
        }
        data.push(&inner_len);
        data
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }
}

impl AsRef<[u8]> for AdditionalData {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
