use core::fmt;

use crate::aead::{AeadKey, Refused};
use crate::dtls::v12::{self, AdditionalData, TLS12_CID};
use crate::dtls::{ConnectionId, EpochKeys, EpochSecret, RecordNumber, limits, v13};
use crate::nonce::nonce;
use crate::quic::HeaderKey;
use crate::{ApiMisuse, Backend, ContentType, Error, Limits, MAX_PLAINTEXT, TAG_LEN};

/// Seals the records that one direction sends in one epoch.
///
/// Invariants: those of [`crate::Sealer`]. Limits count as [`Sealer::limits`] says.
pub struct Sealer {
    key: AeadKey,
    /// What encrypts record numbers: in DTLS 1.3.
    number_mask: Option<HeaderKey>,
    keys: EpochKeys,
    limits: Limits,
    connection_id: ConnectionId,
}

impl Sealer {
    /// Takes over the keys of a sending direction, with the backend that this process prefers.
    pub fn new(keys: EpochKeys) -> Self {
        let backend = Backend::preferred(keys.algorithm());
        Self::with_backend(keys, backend)
    }

    /// As [`Sealer::new`], with a backend of the caller's choice.
    pub fn with_backend(keys: EpochKeys, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, &keys.keys),
            number_mask: keys.number_mask(backend),
            limits: limits::of(keys.version(), keys.algorithm()),
            keys,
            connection_id: ConnectionId::EMPTY,
        }
    }

    /// Gives the keys back, with the number of the next record.
    pub fn into_keys(self) -> EpochKeys {
        self.keys
    }

    /// Goes on in the next epoch, as after a KeyUpdate that the peer has acknowledged (RFC 9147
    /// section 8). The limits stay as they are, and what was sealed is counted anew.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::EpochOrder`] if `keys` are not of the next epoch and the same version. Nothing was
    /// changed then.
    pub fn advance(&mut self, keys: EpochKeys) -> Result<(), Error> {
        self.keys.check_next(&keys)?;
        let (connection_id, limits) = (self.connection_id, self.limits);
        *self = Self::with_backend(keys, self.key.backend());
        self.connection_id = connection_id;
        self.lower_limits(limits);
        Ok(())
    }

    /// Whether the next keys of `secret` can follow these.
    pub(super) fn is_of(&self, secret: &EpochSecret) -> bool {
        self.keys.is_of(secret)
    }

    /// Puts the connection ID that the peer asked for into every record from here on.
    pub fn set_connection_id(&mut self, connection_id: ConnectionId) {
        self.connection_id = connection_id;
    }

    /// The number of the next record.
    pub fn next_number(&self) -> RecordNumber {
        self.keys.next_number()
    }

    /// The backend that seals.
    pub fn backend(&self) -> Backend {
        self.key.backend()
    }

    /// What this key may seal: records, where DTLS 1.2 with AES-GCM counts one of more than
    /// 2^11 bytes once for each 2^11 that it began.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Lowers the limits of this key and of those that follow; they cannot be raised.
    pub fn lower_limits(&mut self, limits: Limits) {
        self.limits = self.limits.lowered_to(limits);
    }

    /// Whether the soft limit is reached: change the keys, in DTLS 1.2 by a new handshake.
    #[inline]
    pub fn wants_new_keys(&self) -> bool {
        self.keys.used >= self.limits.soft
    }

    /// What the key may seal still, as [`limits`](Self::limits) count, and its numbers last.
    #[inline]
    pub fn remaining(&self) -> u64 {
        let numbers = (RecordNumber::MAX_SEQ + 1).saturating_sub(self.keys.keys.seq);
        self.limits.hard.saturating_sub(self.keys.used).min(numbers)
    }

    /// Bytes that a record is longer than its plaintext.
    #[inline]
    pub fn overhead(&self) -> usize {
        self.prefix_len() + self.trailer_len() + TAG_LEN
    }

    /// Seals one record of the whole of `plaintext` into the front of `out`, and returns its
    /// length: that of the plaintext and [`overhead`](Self::overhead).
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] past the hard limit or the last sequence number;
    /// [`ApiMisuse::PlaintextTooLong`] past [`MAX_PLAINTEXT`]; [`ApiMisuse::OutputTooSmall`];
    /// [`ApiMisuse::ForbiddenRecord`]. `out` and the record number are unchanged then.
    #[inline]
    pub fn seal(
        &mut self,
        content_type: ContentType,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let len = self.check(content_type, plaintext.len(), out.len())?;
        let record = &mut out[..len];
        match self.number_mask.is_some() {
            true => self.protect13(content_type, plaintext, record),
            false => self.protect12(content_type, plaintext, record),
        }
        .map_err(|_| ApiMisuse::PlaintextTooLong)?;
        self.keys.keys.seq += 1;
        self.keys.used += limits::cost(self.keys.version(), plaintext.len());
        Ok(len)
    }

    #[inline]
    fn protect12(
        &self,
        content_type: ContentType,
        plaintext: &[u8],
        record: &mut [u8],
    ) -> Result<(), Refused> {
        let (prefix, number) = (self.prefix_len(), self.keys.next_number());
        let outer = match self.connection_id.is_empty() {
            true => content_type,
            false => TLS12_CID,
        };
        v12::write_header(record, outer, number, &self.connection_id);
        let nonce = nonce(&self.keys.keys.iv, number.to_u64());
        let explicit = self.keys.explicit_nonce_len();
        record[prefix - explicit..prefix].copy_from_slice(&nonce[12 - explicit..]);
        let trailer = &[content_type.0][..self.trailer_len()];
        let (id, inner_len) = (&self.connection_id, plaintext.len() + trailer.len());
        let aad = AdditionalData::new(outer, number, id.as_bytes(), inner_len);
        let body = &mut record[prefix..];
        self.key
            .seal_from(nonce, aad.as_ref(), plaintext, trailer, body)
    }

    /// The header as it is before its number is encrypted is what is authenticated, and the nonce has
    /// no epoch in it (RFC 9147 section 4.2.3).
    #[inline]
    fn protect13(
        &self,
        content_type: ContentType,
        plaintext: &[u8],
        record: &mut [u8],
    ) -> Result<(), Refused> {
        let number = self.keys.next_number();
        v13::write_header(record, number, &self.connection_id);
        let nonce = nonce(&self.keys.keys.iv, number.seq);
        let (header, body) = record.split_at_mut(self.prefix_len());
        self.key
            .seal_from(nonce, header, plaintext, &[content_type.0], body)?;
        if let Some(mask) = &self.number_mask {
            v13::hide_seq(record, mask, &self.connection_id);
        }
        Ok(())
    }

    #[inline]
    fn prefix_len(&self) -> usize {
        match self.number_mask {
            Some(_) => v13::header_len(&self.connection_id),
            None => v12::HEADER_LEN + self.connection_id.len() + self.keys.explicit_nonce_len(),
        }
    }

    /// Bytes of content type behind the plaintext.
    #[inline]
    fn trailer_len(&self) -> usize {
        usize::from(self.number_mask.is_some() || !self.connection_id.is_empty())
    }

    /// Everything that can refuse a record, before a byte is written. Returns the record's length.
    #[inline]
    fn check(&self, content_type: ContentType, len: usize, have: usize) -> Result<usize, Error> {
        if len > MAX_PLAINTEXT {
            return Err(ApiMisuse::PlaintextTooLong.into());
        }
        let need = len + self.overhead();
        if need > have {
            return Err(ApiMisuse::OutputTooSmall { need, have }.into());
        }
        if self.remaining() == 0 {
            return Err(Error::ConfidentialityLimit);
        }
        let empty = len == 0 && content_type != ContentType::APPLICATION_DATA;
        // A zero type byte would be read as padding, and the last two are no content of a record.
        let untyped = [ContentType(0), TLS12_CID, ContentType::CHANGE_CIPHER_SPEC];
        if empty || untyped.contains(&content_type) {
            return Err(ApiMisuse::ForbiddenRecord.into());
        }
        Ok(need)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("keys", &self.keys)
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}
