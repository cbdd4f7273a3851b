use core::fmt;
use core::ops::Range;

use crate::aead::AeadKey;
use crate::dtls::v12::{AdditionalData, Header, TLS12_CID};
use crate::dtls::{ConnectionId, Discard, EpochKeys, RecordNumber, ReplayWindow, limits};
use crate::nonce::nonce;
use crate::{Backend, ContentType, MAX_PLAINTEXT, TAG_LEN};

/// Opens the records that one direction receives.
///
/// Invariants:
///
/// 1. Each record number is opened once at most: the window is asked before the AEAD runs, and told
///    after the record was authentic.
/// 2. A record that does not open changes nothing but a counter, and allocates nothing.
pub struct Opener {
    key: AeadKey,
    keys: EpochKeys,
    window: ReplayWindow,
    connection_id: ConnectionId,
    forged: u64,
    max_forged: u64,
}

/// An opened record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// What the record carries; never change_cipher_spec.
    pub content_type: ContentType,
    /// Its number.
    pub number: RecordNumber,
    /// Where in the datagram its plaintext lies.
    pub plaintext: Range<usize>,
}

/// What one record of a datagram was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// Bytes of the datagram that are dealt with: the next record starts behind them.
    pub len: usize,
    /// The record, or why it was dropped.
    pub opened: Result<Opened, Discard>,
}

impl Opener {
    /// Takes over the keys of a receiving direction, and what was opened with them before, with the
    /// backend that this process prefers.
    pub fn new(keys: EpochKeys, window: ReplayWindow) -> Self {
        let backend = Backend::preferred(keys.algorithm());
        Self::with_backend(keys, window, backend)
    }

    /// As [`Opener::new`], with a backend of the caller's choice.
    pub fn with_backend(keys: EpochKeys, window: ReplayWindow, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, &keys.keys),
            keys,
            window,
            connection_id: ConnectionId::EMPTY,
            forged: 0,
            max_forged: limits::MAX_FORGED,
        }
    }

    /// Gives keys and window back.
    pub fn into_parts(self) -> (EpochKeys, ReplayWindow) {
        (self.keys, self.window)
    }

    /// Takes records with this connection ID alone, which this side chose (RFC 9146 section 3).
    pub fn set_connection_id(&mut self, connection_id: ConnectionId) {
        self.connection_id = connection_id;
    }

    /// Lowers the number of records that may fail to authenticate; it cannot be raised.
    pub fn lower_max_forged(&mut self, max: u64) {
        self.max_forged = self.max_forged.min(max);
    }

    /// Whether so many records were forged that the key must not be used any more.
    pub fn is_exhausted(&self) -> bool {
        self.forged >= self.max_forged
    }

    /// The backend that opens.
    pub fn backend(&self) -> Backend {
        self.key.backend()
    }

    /// Opens the first record of `datagram` in place. The caller goes on behind [`Taken::len`]
    /// until the datagram is used up; each call takes at least one byte of one that is not empty.
    #[inline]
    pub fn open(&mut self, datagram: &mut [u8]) -> Taken {
        let header = match Header::parse(datagram, self.connection_id.len()) {
            Ok(header) => header,
            Err(reason) => {
                return Taken {
                    len: datagram.len(),
                    opened: Err(reason),
                };
            }
        };
        Taken {
            len: header.record_len,
            opened: self.open_record(&header, &mut datagram[..header.record_len]),
        }
    }

    #[inline]
    fn open_record(&mut self, header: &Header, record: &mut [u8]) -> Result<Opened, Discard> {
        self.check_header(header, record)?;
        let prefix = header.len + self.keys.explicit_nonce_len();
        let inner_len = record.len().checked_sub(prefix + TAG_LEN);
        let inner_len = inner_len.ok_or(Discard::TooShort)?;
        self.window.check(header.number.seq)?;
        if self.is_exhausted() {
            return Err(Discard::IntegrityLimit);
        }
        let (head, body) = record.split_at_mut(prefix);
        let nonce = self.record_nonce(header, head);
        let id = header.connection_id(head);
        let aad = AdditionalData::new(header.outer, header.number, id, inner_len);
        if self.key.open_in_place(nonce, aad.as_ref(), body).is_err() {
            self.forged += 1;
            return Err(Discard::Forged);
        }
        self.window.commit(header.number.seq);
        let (content_type, len) = content(header.outer, &body[..inner_len])?;
        Ok(Opened {
            content_type,
            number: header.number,
            plaintext: prefix..prefix + len,
        })
    }

    /// Everything that a header must be before the record is worth opening.
    #[inline]
    fn check_header(&self, header: &Header, record: &[u8]) -> Result<(), Discard> {
        if !header.is_ours {
            return Err(Discard::Header);
        }
        if header.number.epoch != self.keys.epoch {
            return Err(Discard::Epoch);
        }
        if header.connection_id(record) != self.connection_id.as_bytes() {
            return Err(Discard::ConnectionId);
        }
        Ok(())
    }

    #[inline]
    fn record_nonce(&self, header: &Header, head: &[u8]) -> [u8; 12] {
        let explicit = &head[header.len..];
        if explicit.is_empty() {
            return nonce(&self.keys.keys.iv, header.number.to_u64());
        }
        let mut nonce = self.keys.keys.iv;
        nonce[4..].copy_from_slice(explicit);
        nonce
    }
}

/// The true content type and the plaintext's length: with a connection ID the type is behind the
/// plaintext, before the padding (RFC 9146 section 4).
#[inline]
fn content(outer: ContentType, inner: &[u8]) -> Result<(ContentType, usize), Discard> {
    let (content_type, len) = match outer {
        TLS12_CID => {
            let last = inner.iter().rposition(|byte| *byte != 0);
            let last = last.ok_or(Discard::Malformed)?;
            (ContentType(inner[last]), last)
        }
        outer => (outer, inner.len()),
    };
    let empty = len == 0 && content_type != ContentType::APPLICATION_DATA;
    let forbidden = [TLS12_CID, ContentType::CHANGE_CIPHER_SPEC].contains(&content_type);
    if empty || forbidden || len > MAX_PLAINTEXT {
        return Err(Discard::Malformed);
    }
    Ok((content_type, len))
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("keys", &self.keys)
            .field("next", &self.window.next())
            .field("forged", &self.forged)
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}
