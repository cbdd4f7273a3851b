use core::fmt;
use core::ops::Range;

use crate::aead::AeadKey;
use crate::nonce::{AdditionalData, nonce};
use crate::seal::plaintext_limit;
use crate::{
    Algorithm, ApiMisuse, Backend, ContentType, Deframed, Error, HEADER_LEN, MAX_PLAINTEXT,
    PeerMisbehaved, ProtocolVersion, RecordHeader, SeqNo, TAG_LEN, TrafficKeys, TrafficSecret,
    deframe,
};

/// Opens the records of one direction.
///
/// Invariants:
///
/// 1. The sequence number advances with each record that authenticates, and with no other.
/// 2. The first record that does not open poisons the direction: every later call fails, so
///    nothing is delivered past a record that was corrupted, replayed, reordered or dropped. With
///    that the integrity limit (RFC 8446 section 5.5: 2^36 forgery attempts for AES-GCM) is one.
pub struct Opener {
    key: AeadKey,
    keys: TrafficKeys,
    max_plaintext: u16,
    empty_records: u8,
    poisoned: bool,
}

/// An opened record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What the record carries; never change_cipher_spec.
    pub content_type: ContentType,
    /// Where its plaintext lies.
    pub plaintext: PlaintextIn,
}

/// Where a record's plaintext lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who reads must know each")]
pub enum PlaintextIn {
    /// In this range of the record that was given to open.
    Record(Range<usize>),
    /// In the first bytes of the output.
    Out(usize),
}

impl Opener {
    /// Records without plaintext that may follow each other; one more is an error. OpenSSL has
    /// the same bound.
    pub const MAX_EMPTY_RECORDS: u8 = 32;

    /// Takes over the keys of a receiving direction, with the backend that this process prefers.
    pub fn new(keys: TrafficKeys) -> Self {
        let backend = Backend::preferred(keys.algorithm);
        Self::with_backend(keys, backend)
    }

    /// As [`Opener::new`], with a backend of the caller's choice.
    pub fn with_backend(keys: TrafficKeys, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, &keys),
            keys,
            max_plaintext: MAX_PLAINTEXT as u16,
            empty_records: 0,
            poisoned: false,
        }
    }

    /// Gives the keys back, with the sequence number of the next record.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`]: keys of a dead direction would let somebody read on.
    pub fn into_keys(self) -> Result<TrafficKeys, Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        Ok(self.keys)
    }

    /// The keys, with the sequence number of the next record.
    pub fn keys(&self) -> &TrafficKeys {
        &self.keys
    }

    /// Goes on under new keys, as after a KeyUpdate.
    pub fn replace_keys(&mut self, keys: TrafficKeys) {
        let backend = self.key.backend();
        self.key = AeadKey::new(backend, &keys);
        self.keys = keys;
    }

    /// See [`crate::Sealer::erase`]. Every further call fails as behind a record that did not open.
    pub fn erase(&mut self) {
        self.poisoned = true;
        self.keys.erase();
        self.key.erase();
    }

    /// See [`crate::Sealer::forget_key`].
    pub fn forget_key(&mut self) {
        self.keys.forget_key();
    }

    /// See [`crate::Sealer::recall_key`].
    pub fn recall_key(&mut self, secret: &TrafficSecret) {
        self.keys.recall_key(secret);
    }

    /// Enforces the record size limit that was announced to the peer (RFC 8449): for TLS 1.3 it
    /// counts the type byte and padding, for TLS 1.2 the plaintext alone.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::RecordSizeLimit`] below 64 or above what the version allows.
    pub fn set_record_size_limit(&mut self, limit: u16) -> Result<(), Error> {
        self.max_plaintext = plaintext_limit(self.keys.version, limit)?;
        Ok(())
    }

    /// The sequence number of the next record.
    pub fn seq(&self) -> SeqNo {
        SeqNo(self.keys.seq)
    }

    /// The TLS version whose records are opened.
    #[inline]
    pub fn version(&self) -> ProtocolVersion {
        self.keys.version
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.keys.algorithm
    }

    /// The backend that opens.
    pub fn backend(&self) -> Backend {
        self.key.backend()
    }

    /// Whether an earlier record failed to open.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// [`deframe()`]s under this direction's version. A framing error poisons the direction.
    ///
    /// # Errors
    ///
    /// As [`deframe()`], or [`Error::Poisoned`].
    #[inline]
    pub fn deframe(&mut self, bytes: &[u8]) -> Result<Deframed, Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        deframe(self.keys.version, bytes).inspect_err(|_| self.poisoned = true)
    }

    /// Opens `record`, exactly one record with its header, in place.
    ///
    /// # Errors
    ///
    /// [`Error::PeerMisbehaved`] poisons the direction (and where the record did not authenticate,
    /// the backend has overwritten its plaintext); [`Error::Poisoned`] ever after; [`ApiMisuse::NotOneRecord`] if `record` is shorter or longer
    /// than its header says.
    pub fn open_in_place(&mut self, record: &mut [u8]) -> Result<Opened, Error> {
        self.open_into(record, &mut [])
    }

    /// Opens `record`, exactly one record with its header, into `out` if its plaintext fits there
    /// and in place otherwise. Whichever it was, both may have been written to.
    ///
    /// A backend that reads and writes separate buffers needs `out` to hold the ciphertext (one
    /// byte and the padding more than the plaintext in TLS 1.3); the bytes of `out` past the
    /// plaintext are then scratch.
    ///
    /// # Errors
    ///
    /// As [`open_in_place`](Self::open_in_place).
    #[inline]
    pub fn open_into(&mut self, record: &mut [u8], out: &mut [u8]) -> Result<Opened, Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        let header = self.whole_record(record)?;
        let opened = self.open_checked(header, record, out);
        if opened.is_err() {
            self.poisoned = true;
        }
        opened
    }

    fn whole_record(&mut self, record: &[u8]) -> Result<RecordHeader, Error> {
        match self.deframe(record)? {
            Deframed::Record(header) if header.record_len() == record.len() => Ok(header),
            _ => Err(ApiMisuse::NotOneRecord.into()),
        }
    }

    #[inline]
    fn open_checked(
        &mut self,
        header: RecordHeader,
        record: &mut [u8],
        out: &mut [u8],
    ) -> Result<Opened, Error> {
        let (version, seq) = (self.keys.version, self.keys.seq);
        let prefix = HEADER_LEN + self.keys.algorithm.explicit_nonce_len(version);
        let Some(len) = record.len().checked_sub(prefix + TAG_LEN) else {
            return Err(PeerMisbehaved::RecordTooShort(header.body_len).into());
        };
        if seq == u64::MAX {
            return Err(Error::ConfidentialityLimit);
        }
        let Some((head, body)) = record.split_at_mut_checked(prefix) else {
            return Err(ApiMisuse::NotOneRecord.into());
        };
        let nonce = self.record_nonce(&head[HEADER_LEN..]);
        let aad = AdditionalData::new(version, seq, first_bytes(head), len);
        let separate = match out.get_mut(..len) {
            Some(out) => self.key.open_into(nonce, aad.as_ref(), body, out),
            None => None,
        };
        let in_out = separate.is_some();
        match separate {
            Some(result) => result,
            None => self.key.open_in_place(nonce, aad.as_ref(), body),
        }
        .map_err(|_| PeerMisbehaved::BadRecordMac)?;
        self.keys.seq += 1;

        let inner = if in_out { &out[..len] } else { &body[..len] };
        let (content_type, len) = self.inner_type(header, inner)?;
        self.check_plaintext(content_type, len)?;
        let plaintext = if in_out {
            PlaintextIn::Out(len)
        } else if let Some(out) = out.get_mut(..len).filter(|out| !out.is_empty()) {
            out.copy_from_slice(&body[..len]);
            PlaintextIn::Out(len)
        } else {
            PlaintextIn::Record(prefix..prefix + len)
        };
        Ok(Opened {
            content_type,
            plaintext,
        })
    }

    #[inline]
    fn record_nonce(&self, explicit: &[u8]) -> [u8; 12] {
        if explicit.is_empty() {
            return nonce(&self.keys.iv, self.keys.seq);
        }
        let mut nonce = self.keys.iv;
        nonce[4..].copy_from_slice(explicit);
        nonce
    }

    /// The true content type and the plaintext's length: TLS 1.3 hides the type behind the last
    /// byte that is not padding (RFC 8446 section 5.4).
    #[inline]
    fn inner_type(
        &self,
        header: RecordHeader,
        inner: &[u8],
    ) -> Result<(ContentType, usize), Error> {
        match self.keys.version {
            ProtocolVersion::Tls12 => Ok((header.content_type, inner.len())),
            ProtocolVersion::Tls13 => {
                if inner.len() > usize::from(self.max_plaintext) + 1 {
                    return Err(PeerMisbehaved::PlaintextOverflow(inner.len()).into());
                }
                match inner.iter().rposition(|byte| *byte != 0) {
                    Some(last) => Ok((ContentType(inner[last]), last)),
                    None => Err(PeerMisbehaved::NoContentType.into()),
                }
            }
        }
    }

    #[inline]
    fn check_plaintext(&mut self, content_type: ContentType, len: usize) -> Result<(), Error> {
        if len > usize::from(self.max_plaintext) {
            return Err(PeerMisbehaved::PlaintextOverflow(len).into());
        }
        if content_type == ContentType::CHANGE_CIPHER_SPEC {
            return Err(PeerMisbehaved::UnexpectedContentType(content_type).into());
        }
        if len > 0 {
            self.empty_records = 0;
            return Ok(());
        }
        if content_type != ContentType::APPLICATION_DATA {
            return Err(PeerMisbehaved::EmptyRecord(content_type).into());
        }
        if self.empty_records == Self::MAX_EMPTY_RECORDS {
            return Err(PeerMisbehaved::TooManyEmptyRecords.into());
        }
        self.empty_records += 1;
        Ok(())
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("keys", &self.keys)
            .field("backend", &self.backend())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

fn first_bytes(head: &[u8]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header.copy_from_slice(&head[..HEADER_LEN]);
    header
}
