use core::fmt;
use std::io::IoSlice;

use crate::aead::AeadKey;
use crate::nonce::{AdditionalData, header_bytes, nonce};
use crate::{
    ApiMisuse, Backend, ContentType, Error, HEADER_LEN, Limits, MAX_PLAINTEXT, Padding,
    ProtocolVersion, SeqNo, TAG_LEN, TrafficKeys, TrafficSecret,
};

/// Seals the records of one direction.
///
/// Invariants:
///
/// 1. Every record uses the sequence number once: it advances when a record is sealed, and a call
///    that fails before the AEAD ran leaves it unchanged.
/// 2. No record is sealed at or past [`Limits::hard`].
/// 3. A failed call leaves no plaintext in the output that the caller did not put there.
pub struct Sealer {
    key: AeadKey,
    keys: TrafficKeys,
    limits: Limits,
    /// The lower of the peer's record size limit and `own_max_plaintext`.
    max_plaintext: u16,
    own_max_plaintext: u16,
    padding: Padding,
}

/// What one call sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Plaintext bytes that went into the record.
    pub consumed: usize,
    /// Bytes of the record, at the start of the output.
    pub written: usize,
}

impl Sealer {
    /// Takes over the keys of a sending direction, with the backend that this process prefers.
    pub fn new(keys: TrafficKeys) -> Self {
        let backend = Backend::preferred(keys.algorithm);
        Self::with_backend(keys, backend)
    }

    /// As [`Sealer::new`], with a backend of the caller's choice.
    pub fn with_backend(keys: TrafficKeys, backend: Backend) -> Self {
        Self {
            key: AeadKey::new(backend, &keys),
            limits: Limits::of(keys.version, keys.algorithm),
            keys,
            max_plaintext: MAX_PLAINTEXT as u16,
            own_max_plaintext: MAX_PLAINTEXT as u16,
            padding: Padding::None,
        }
    }

    /// Gives the keys back, with the sequence number of the next record.
    pub fn into_keys(self) -> TrafficKeys {
        self.keys
    }

    /// The keys, with the sequence number of the next record.
    pub fn keys(&self) -> &TrafficKeys {
        &self.keys
    }

    /// See [`TrafficKeys::renew_explicit_nonces`].
    pub fn renew_explicit_nonces(&mut self) {
        self.keys.renew_explicit_nonces();
    }

    /// Goes on under new keys, as after a KeyUpdate; limits and padding stay as they were set.
    pub fn replace_keys(&mut self, keys: TrafficKeys) {
        let backend = self.key.backend();
        self.key = AeadKey::new(backend, &keys);
        self.keys = keys;
    }

    /// Overwrites the keys where they lie, and what follows from them: for a copy of them that fork(2) has made, whose
    /// process must not have what its parent goes on with. Every further call fails as past the limit.
    pub fn erase(&mut self) {
        self.limits = self.limits.lowered_to(Limits { soft: 0, hard: 0 });
        self.keys.erase();
        self.key.erase();
    }

    /// Lets go of the key itself, of which the AEAD library has what it needs: an idle connection then
    /// holds the secret alone. Until [`recall_key`](Self::recall_key), the [`keys`](Self::keys) and those
    /// of [`into_keys`](Self::into_keys) have none.
    pub fn forget_key(&mut self) {
        self.keys.forget_key();
    }

    /// Derives the key again that was let go. Nothing happens unless `secret` is that of these keys.
    pub fn recall_key(&mut self, secret: &TrafficSecret) {
        self.keys.recall_key(secret);
    }

    /// Lowers the limits of this key; they cannot be raised.
    pub fn lower_limits(&mut self, limits: Limits) {
        self.limits = self.limits.lowered_to(limits);
    }

    /// The limits of this key: those of the algorithm, or lower ones that were set.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How records are padded from now on.
    pub fn set_padding(&mut self, padding: Padding) {
        self.padding = padding;
    }

    /// How records are padded.
    pub fn padding(&self) -> Padding {
        self.padding
    }

    /// Honours the record size limit that the peer announced (RFC 8449): for TLS 1.3 it counts
    /// the type byte and padding, for TLS 1.2 the plaintext alone.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::RecordSizeLimit`] below 64 or above what the version allows.
    pub fn set_record_size_limit(&mut self, limit: u16) -> Result<(), Error> {
        let limit = plaintext_limit(self.keys.version, limit)?;
        self.max_plaintext = limit.min(self.own_max_plaintext);
        Ok(())
    }

    /// Makes records carry at most `len` plaintext bytes (1 to 2^14), whatever the peer allows.
    pub fn lower_max_plaintext(&mut self, len: usize) {
        let len = u16::try_from(len.max(1)).unwrap_or(u16::MAX);
        self.own_max_plaintext = self.own_max_plaintext.min(len);
        self.max_plaintext = self.max_plaintext.min(self.own_max_plaintext);
    }

    /// Most plaintext bytes of one record.
    #[inline]
    pub fn max_plaintext(&self) -> usize {
        usize::from(self.max_plaintext)
    }

    /// Bytes from the start of a record to its plaintext: the header and, in TLS 1.2 AES-GCM, the
    /// explicit nonce. [`Sealer::seal_in_place`] expects the plaintext there.
    #[inline]
    pub fn prefix_len(&self) -> usize {
        HEADER_LEN + self.keys.algorithm.explicit_nonce_len(self.keys.version)
    }

    /// Bytes of the record that `plaintext_len` bytes become: at most
    /// [`Sealer::max_plaintext`], with the padding now set.
    #[inline]
    pub fn record_len(&self, plaintext_len: usize) -> usize {
        self.prefix_len() + plaintext_len + self.trailer_len(plaintext_len) + TAG_LEN
    }

    /// Room that sealing `plaintext_len` bytes takes, over as many full records as they need.
    pub fn sealed_len(&self, plaintext_len: usize) -> usize {
        let full = plaintext_len / self.max_plaintext();
        let rest = plaintext_len % self.max_plaintext();
        let partial = if rest > 0 { self.record_len(rest) } else { 0 };
        full * self.record_len(self.max_plaintext()) + partial
    }

    /// The sequence number of the next record.
    pub fn seq(&self) -> SeqNo {
        SeqNo(self.keys.seq)
    }

    /// The TLS version whose records are sealed.
    #[inline]
    pub fn version(&self) -> ProtocolVersion {
        self.keys.version
    }

    /// The AEAD algorithm.
    pub fn algorithm(&self) -> crate::Algorithm {
        self.keys.algorithm
    }

    /// The backend that seals.
    pub fn backend(&self) -> Backend {
        self.key.backend()
    }

    /// Whether the soft limit is reached: send a KeyUpdate before more data.
    #[inline]
    pub fn wants_key_update(&self) -> bool {
        self.keys.seq >= self.limits.before_key_update()
    }

    /// Whether the hard limit is reached: every further call fails.
    #[inline]
    pub fn is_exhausted(&self) -> bool {
        self.keys.seq >= self.limits.hard
    }

    /// Seals one record of the first [`max_plaintext`](Self::max_plaintext) bytes of `plaintext`
    /// (or all of them, if fewer) into the front of `out`.
    ///
    /// # Errors
    ///
    /// [`Error::ConfidentialityLimit`] past the hard limit; [`ApiMisuse::OutputTooSmall`] if `out`
    /// is shorter than [`record_len`](Self::record_len); [`ApiMisuse::ForbiddenRecord`]. `out` and
    /// the sequence number are unchanged then.
    #[inline]
    pub fn seal(
        &mut self,
        content_type: ContentType,
        plaintext: &[u8],
        out: &mut [u8],
    ) -> Result<Sealed, Error> {
        let len = plaintext.len().min(self.max_plaintext());
        let written = self.check(content_type, len, out.len())?;
        let prefix = self.prefix_len();
        let trailer = written - TAG_LEN - prefix - len;
        if trailer > 1 {
            // Padded records are sealed in place: the zeros are part of the plaintext.
            out[prefix..prefix + len].copy_from_slice(&plaintext[..len]);
            self.protect_in_place(content_type, len, &mut out[..written])?;
        } else {
            let (nonce, aad) = self.begin(content_type, len, &mut out[..written]);
            let (plaintext, body) = (&plaintext[..len], &mut out[prefix..written]);
            let trailer = &[content_type.0][..trailer];
            self.key
                .seal_from(nonce, aad.as_ref(), plaintext, trailer, body)
                .map_err(|_| ApiMisuse::PlaintextTooLong)?;
            self.keys.seq += 1;
        }
        Ok(Sealed {
            consumed: len,
            written,
        })
    }

    /// As [`seal`](Self::seal), from a list of slices: the record takes as much of it as fits,
    /// and [`Sealed::consumed`] says how much that was (`IoSlice::advance_slices` drops it).
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub fn seal_vectored(
        &mut self,
        content_type: ContentType,
        plaintext: &[IoSlice<'_>],
        out: &mut [u8],
    ) -> Result<Sealed, Error> {
        if let Some(first) = whole_record(plaintext, self.max_plaintext()) {
            return self.seal(content_type, first, out);
        }
        let total: usize = plaintext.iter().map(|slice| slice.len()).sum();
        let len = total.min(self.max_plaintext());
        let written = self.check(content_type, len, out.len())?;
        let prefix = self.prefix_len();
        gather(plaintext, &mut out[prefix..prefix + len]);
        self.protect_in_place(content_type, len, &mut out[..written])?;
        Ok(Sealed {
            consumed: len,
            written,
        })
    }

    /// Seals `plaintext_len` bytes that lie at [`prefix_len`](Self::prefix_len) in `record`, where
    /// they were read or built, without copying them. Returns the bytes of the record.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal); [`ApiMisuse::PlaintextTooLong`] past
    /// [`max_plaintext`](Self::max_plaintext).
    #[inline]
    pub fn seal_in_place(
        &mut self,
        content_type: ContentType,
        record: &mut [u8],
        plaintext_len: usize,
    ) -> Result<usize, Error> {
        if plaintext_len > self.max_plaintext() {
            return Err(ApiMisuse::PlaintextTooLong.into());
        }
        let written = self.check(content_type, plaintext_len, record.len())?;
        self.protect_in_place(content_type, plaintext_len, &mut record[..written])?;
        Ok(written)
    }

    /// Bytes of type and padding behind the plaintext.
    #[inline]
    fn trailer_len(&self, plaintext_len: usize) -> usize {
        match self.keys.version {
            ProtocolVersion::Tls12 => 0,
            ProtocolVersion::Tls13 => {
                1 + self
                    .padding
                    .zeros(plaintext_len + 1, self.max_plaintext() + 1)
            }
        }
    }

    /// Everything that can refuse a record, before a byte is written. Returns the record's length.
    #[inline]
    fn check(&self, content_type: ContentType, len: usize, have: usize) -> Result<usize, Error> {
        let need = self.record_len(len);
        if need > have {
            return Err(ApiMisuse::OutputTooSmall { need, have }.into());
        }
        if self.is_exhausted() {
            return Err(Error::ConfidentialityLimit);
        }
        let empty_forbidden = len == 0 && content_type != ContentType::APPLICATION_DATA;
        // A zero type byte would be read as padding: the record would have no type.
        let untyped = content_type.0 == 0 && self.keys.version == ProtocolVersion::Tls13;
        if empty_forbidden || untyped || content_type == ContentType::CHANGE_CIPHER_SPEC {
            return Err(ApiMisuse::ForbiddenRecord.into());
        }
        Ok(need)
    }

    /// Writes header and explicit nonce of `record` and computes what the AEAD takes besides.
    #[inline]
    fn begin(
        &self,
        content_type: ContentType,
        len: usize,
        record: &mut [u8],
    ) -> ([u8; 12], AdditionalData) {
        let (version, seq) = (self.keys.version, self.keys.seq);
        let nonce = nonce(&self.keys.iv, seq);
        let outer = match version {
            ProtocolVersion::Tls12 => content_type,
            ProtocolVersion::Tls13 => ContentType::APPLICATION_DATA,
        };
        let header = header_bytes(outer, record.len() - HEADER_LEN);
        record[..HEADER_LEN].copy_from_slice(&header);
        let prefix = self.prefix_len();
        if prefix > HEADER_LEN {
            record[HEADER_LEN..prefix].copy_from_slice(&nonce[4..]);
        }
        (nonce, AdditionalData::new(version, seq, header, len))
    }

    #[inline]
    fn protect_in_place(
        &mut self,
        content_type: ContentType,
        len: usize,
        record: &mut [u8],
    ) -> Result<(), Error> {
        let (nonce, aad) = self.begin(content_type, len, record);
        let prefix = self.prefix_len();
        let Some((body, tag)) = record[prefix..].split_last_chunk_mut::<TAG_LEN>() else {
            return Err(ApiMisuse::PlaintextTooLong.into());
        };
        if let Some((first, zeros)) = body[len..].split_first_mut() {
            *first = content_type.0;
            zeros.fill(0);
        }
        self.key
            .seal_in_place(nonce, aad.as_ref(), body, tag)
            .map_err(|_| ApiMisuse::PlaintextTooLong)?;
        self.keys.seq += 1;
        Ok(())
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

/// RFC 8449 section 4.
pub(crate) fn plaintext_limit(version: ProtocolVersion, limit: u16) -> Result<u16, Error> {
    let type_byte = u16::from(version == ProtocolVersion::Tls13);
    if !(64..=MAX_PLAINTEXT as u16 + type_byte).contains(&limit) {
        return Err(ApiMisuse::RecordSizeLimit.into());
    }
    Ok(limit - type_byte)
}

/// The first slice with bytes in it, if it fills the record or is all there is.
#[inline]
fn whole_record<'a>(slices: &'a [IoSlice<'_>], max: usize) -> Option<&'a [u8]> {
    let start = slices.iter().position(|slice| !slice.is_empty())?;
    let alone = slices[start + 1..].iter().all(|slice| slice.is_empty());
    (alone || slices[start].len() >= max).then_some(&*slices[start])
}

fn gather(slices: &[IoSlice<'_>], mut out: &mut [u8]) {
    for slice in slices {
        let len = slice.len().min(out.len());
        let (front, rest) = out.split_at_mut(len);
        front.copy_from_slice(&slice[..len]);
        out = rest;
    }
}
