use core::fmt;
use core::mem;
use core::ops::Range;

use crate::dtls::epoch::EpochOpener;
use crate::dtls::v12::TLS12_CID;
use crate::dtls::v13::Front;
use crate::dtls::{
    ConnectionId, Discard, EpochKeys, EpochSecret, RecordNumber, ReplayWindow, v12, v13,
};
use crate::nonce::nonce;
use crate::{Backend, ContentType, Error, MAX_PLAINTEXT, ProtocolVersion, TAG_LEN};

/// Opens the records that one direction receives.
///
/// Invariants:
///
/// 1. Each record number is opened once at most: the window is told after the record was authentic.
/// 2. A record that does not open changes nothing but a counter, and allocates nothing.
pub struct Opener {
    current: EpochOpener,
    /// The epoch before, after a key update.
    previous: Option<Box<EpochOpener>>,
    connection_id: ConnectionId,
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
            current: EpochOpener::new(keys, window, backend),
            previous: None,
            connection_id: ConnectionId::EMPTY,
        }
    }

    /// Gives keys and window of the current epoch back; the keys know how often they were attacked.
    pub fn into_parts(self) -> (EpochKeys, ReplayWindow) {
        (self.current.keys, self.current.window)
    }

    /// Goes on in the next epoch, as after a KeyUpdate of the peer. Records of the epoch before are
    /// opened still, until [`forget_previous`](Self::forget_previous) or the next change: they may have
    /// been overtaken (RFC 9147 section 8).
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::EpochOrder`](crate::ApiMisuse::EpochOrder) if `keys` are not of the next epoch and
    /// the same version. Nothing was changed then.
    pub fn advance(&mut self, keys: EpochKeys) -> Result<(), Error> {
        self.current.keys.check_next(&keys)?;
        let mut next = EpochOpener::new(keys, ReplayWindow::default(), self.backend());
        next.max_forged = self.current.max_forged;
        self.previous = Some(Box::new(mem::replace(&mut self.current, next)));
        Ok(())
    }

    /// Gives keys and window of the epoch before the current one back, if its records are opened still.
    pub fn take_previous(&mut self) -> Option<(EpochKeys, ReplayWindow)> {
        let previous = self.previous.take()?;
        Some((previous.keys, previous.window))
    }

    /// Opens records of the epoch before the current one again, whose keys and window
    /// [`take_previous`](Self::take_previous) gave.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::EpochOrder`](crate::ApiMisuse::EpochOrder) if the current keys do not follow these. Nothing was
    /// changed then.
    pub fn restore_previous(&mut self, keys: EpochKeys, window: ReplayWindow) -> Result<(), Error> {
        keys.check_next(&self.current.keys)?;
        let mut previous = EpochOpener::new(keys, window, self.backend());
        previous.max_forged = self.current.max_forged;
        self.previous = Some(Box::new(previous));
        Ok(())
    }

    /// Opens no more records of the epoch before the current one: its keys are overwritten. Whether
    /// there are none now.
    ///
    /// They stay until a record of the current epoch was opened: before that the peer may not know that
    /// its key update arrived, and goes on without it (RFC 9147 section 8).
    pub fn forget_previous(&mut self) -> bool {
        if self.is_current_used() {
            self.previous = None;
        }
        self.previous.is_none()
    }

    /// Whether the next keys of `secret` can follow the current ones.
    pub(super) fn is_of(&self, secret: &EpochSecret) -> bool {
        self.current.keys.is_of(secret)
    }

    /// Whether a record of the current epoch was opened.
    fn is_current_used(&self) -> bool {
        self.current.window.next() > 0
    }

    /// The newest record that was opened: of the last epoch, and there the one with the highest number.
    pub fn newest(&self) -> Option<RecordNumber> {
        let epochs = [Some(&self.current), self.previous.as_deref()];
        epochs.into_iter().flatten().find_map(|opener| {
            let seq = opener.window.next().checked_sub(1)?;
            let epoch = opener.keys.epoch;
            Some(RecordNumber { epoch, seq })
        })
    }

    /// Takes records with this connection ID alone, which this side chose (RFC 9146 section 3).
    pub fn set_connection_id(&mut self, connection_id: ConnectionId) {
        self.connection_id = connection_id;
    }

    /// Lowers the number of records that may fail to authenticate under one key, this one and those that
    /// follow; it cannot be raised.
    pub fn lower_max_forged(&mut self, max: u64) {
        self.current.max_forged = self.current.max_forged.min(max);
    }

    /// Whether so many records were forged that the current key must not be used any more.
    pub fn is_exhausted(&self) -> bool {
        self.current.is_exhausted()
    }

    /// The version whose records are opened: that of the same TLS version.
    pub fn version(&self) -> ProtocolVersion {
        self.current.keys.version()
    }

    /// The current epoch.
    pub fn epoch(&self) -> u16 {
        self.current.keys.epoch
    }

    /// The backend that opens.
    pub fn backend(&self) -> Backend {
        self.current.backend()
    }

    /// Opens the first record of `datagram` in place. The caller goes on behind [`Taken::len`]
    /// until the datagram is used up; each call takes at least one byte of one that is not empty.
    #[inline]
    pub fn open(&mut self, datagram: &mut [u8]) -> Taken {
        let taken = match self.current.keys.version() {
            ProtocolVersion::Tls12 => self.open12(datagram),
            ProtocolVersion::Tls13 => self.open13(datagram),
        };
        taken.unwrap_or_else(|reason| Taken {
            len: datagram.len(),
            opened: Err(reason),
        })
    }

    /// # Errors
    ///
    /// Why nothing of the datagram can be read.
    #[inline]
    fn open12(&mut self, datagram: &mut [u8]) -> Result<Taken, Discard> {
        let header = v12::Header::parse(datagram, self.connection_id.len())?;
        let len = header.record_len;
        let opened = self.open_record12(&header, &mut datagram[..len]);
        Ok(Taken { len, opened })
    }

    #[inline]
    fn open_record12(
        &mut self,
        header: &v12::Header,
        record: &mut [u8],
    ) -> Result<Opened, Discard> {
        if !header.is_ours {
            return Err(Discard::Header);
        }
        let epoch = &mut self.current;
        if header.number.epoch != epoch.keys.epoch {
            return Err(Discard::Epoch);
        }
        if header.connection_id(record) != self.connection_id.as_bytes() {
            return Err(Discard::ConnectionId);
        }
        let prefix = header.len + epoch.keys.explicit_nonce_len();
        let inner_len = record.len().checked_sub(prefix + TAG_LEN);
        let inner_len = inner_len.ok_or(Discard::TooShort)?;
        let (head, body) = record.split_at_mut(prefix);
        let nonce = nonce12(&epoch.keys.keys.iv, header, head);
        let id = header.connection_id(head);
        let aad = v12::AdditionalData::new(header.outer, header.number, id, inner_len);
        epoch.open(header.number.seq, nonce, aad.as_ref(), body)?;
        let (content_type, len) = match header.outer {
            TLS12_CID => inner_content(&body[..inner_len])?,
            outer => (outer, inner_len),
        };
        opened(content_type, header.number, prefix, len)
    }

    /// # Errors
    ///
    /// Why nothing of the datagram can be read.
    #[inline]
    fn open13(&mut self, datagram: &mut [u8]) -> Result<Taken, Discard> {
        let header = match Front::parse(datagram, self.connection_id.as_bytes())? {
            Front::Protected(header) => header,
            Front::Plaintext(len) => {
                let opened = Err(Discard::Epoch);
                return Ok(Taken { len, opened });
            }
        };
        let len = header.record_len;
        let opened = self.open_record13(&header, &mut datagram[..len]);
        Ok(Taken { len, opened })
    }

    #[inline]
    fn open_record13(
        &mut self,
        header: &v13::Header,
        record: &mut [u8],
    ) -> Result<Opened, Discard> {
        let epochs = [Some(&mut self.current), self.previous.as_deref_mut()];
        let has_bits = |epoch: &&mut EpochOpener| epoch.keys.epoch as u8 & 3 == header.epoch_bits;
        let epoch = epochs.into_iter().flatten().find(has_bits);
        let epoch = epoch.ok_or(Discard::Epoch)?;
        let mask = epoch.number_mask.as_ref().ok_or(Discard::Epoch)?;
        let seq = header.show_seq(record, mask, epoch.window.next())?;
        let (head, body) = record.split_at_mut(header.len);
        let nonce = nonce(&epoch.keys.keys.iv, seq);
        epoch.open(seq, nonce, head, body)?;
        let inner = &body[..body.len() - TAG_LEN];
        // With its padding (RFC 8446 section 5.4).
        if inner.len() > MAX_PLAINTEXT + 1 {
            return Err(Discard::Malformed);
        }
        let (content_type, len) = inner_content(inner)?;
        let epoch = epoch.keys.epoch;
        opened(content_type, RecordNumber { epoch, seq }, header.len, len)
    }
}

#[inline]
fn nonce12(iv: &[u8; 12], header: &v12::Header, head: &[u8]) -> [u8; 12] {
    let explicit = &head[header.len..];
    if explicit.is_empty() {
        return nonce(iv, header.number.to_u64());
    }
    let mut nonce = *iv;
    nonce[4..].copy_from_slice(explicit);
    nonce
}

/// The content type that is sealed with the plaintext, and the plaintext's length: it stands behind
/// it, before the padding (RFC 9146 section 4, RFC 9147 section 4).
#[inline]
fn inner_content(inner: &[u8]) -> Result<(ContentType, usize), Discard> {
    let last = inner.iter().rposition(|byte| *byte != 0);
    let last = last.ok_or(Discard::Malformed)?;
    Ok((ContentType(inner[last]), last))
}

/// An authentic record of `len` bytes, if a peer may send it.
#[inline]
fn opened(
    content_type: ContentType,
    number: RecordNumber,
    start: usize,
    len: usize,
) -> Result<Opened, Discard> {
    let empty = len == 0 && content_type != ContentType::APPLICATION_DATA;
    let forbidden = [TLS12_CID, ContentType::CHANGE_CIPHER_SPEC].contains(&content_type);
    if empty || forbidden || len > MAX_PLAINTEXT {
        return Err(Discard::Malformed);
    }
    Ok(Opened {
        content_type,
        number,
        plaintext: start..start + len,
    })
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("keys", &self.current.keys)
            .field("next", &self.current.window.next())
            .field("forged", &self.current.keys.forged)
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}
