use crate::{AlertDescription, ContentType};

/// Why a record could not be sealed or opened, by the party at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol, or somebody between changed its bytes. The direction is over.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// The caller broke this crate's contract; never caused by untrusted input.
    #[error("api misuse: {0}")]
    ApiMisuse(#[from] ApiMisuse),
    /// The key has sealed as many records as it may ([`crate::Limits::hard`]): update it, or end
    /// the connection.
    #[error("confidentiality limit reached, the key may seal no further record")]
    ConfidentialityLimit,
    /// An earlier record failed to open: nothing after it can be trusted, for good.
    #[error("an earlier record failed to open, the receive direction is dead")]
    Poisoned,
}

impl Error {
    /// The alert that tells the peer, or `None` where there is nothing to tell it.
    pub fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::PeerMisbehaved(why) => Some(why.alert()),
            Self::ConfidentialityLimit | Self::ApiMisuse(_) => {
                Some(AlertDescription::INTERNAL_ERROR)
            }
            // The record that poisoned the direction has been answered already.
            Self::Poisoned => None,
        }
    }
}

/// What the peer did wrong at the record layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The record did not authenticate: it was corrupted, forged, replayed or reordered.
    #[error("record does not authenticate")]
    BadRecordMac,
    /// The ciphertext is longer than the protocol allows.
    #[error("record of {0} bytes is too long")]
    RecordOverflow(usize),
    /// The plaintext is longer than the record size limit.
    #[error("plaintext of {0} bytes is over the record size limit")]
    PlaintextOverflow(usize),
    /// The ciphertext is shorter than what the AEAD adds.
    #[error("record of {0} bytes is too short to be protected")]
    RecordTooShort(usize),
    /// The outer content type has no place once keys are in use.
    #[error("unexpected record of {0}")]
    UnexpectedContentType(ContentType),
    /// The version bytes are not those of a protected record.
    #[error("record version {0:#06x} where 0x0303 is due")]
    InvalidVersion(u16),
    /// A TLS 1.3 record holds nothing but padding.
    #[error("record without content type")]
    NoContentType,
    /// An alert or handshake record without a byte in it (RFC 8446 section 5.1 forbids it).
    #[error("empty record of {0}")]
    EmptyRecord(ContentType),
    /// A KeyUpdate of DTLS 1.3 that says neither yes nor no, or is in pieces (RFC 8446 section
    /// 4.6.3).
    #[error("malformed KeyUpdate")]
    BadKeyUpdate,
    /// More empty records in a row than [`crate::Opener::MAX_EMPTY_RECORDS`].
    #[error("too many empty records in a row")]
    TooManyEmptyRecords,
}

impl PeerMisbehaved {
    /// The alert for this fault (RFC 8446 section 6.2).
    pub fn alert(self) -> AlertDescription {
        match self {
            // A record that is too short cannot carry a tag, so it does not authenticate.
            Self::BadRecordMac | Self::RecordTooShort(_) => AlertDescription::BAD_RECORD_MAC,
            Self::RecordOverflow(_) | Self::PlaintextOverflow(_) => {
                AlertDescription::RECORD_OVERFLOW
            }
            Self::UnexpectedContentType(_)
            | Self::NoContentType
            | Self::EmptyRecord(_)
            | Self::TooManyEmptyRecords => AlertDescription::UNEXPECTED_MESSAGE,
            Self::BadKeyUpdate => AlertDescription::ILLEGAL_PARAMETER,
            Self::InvalidVersion(_) => AlertDescription::PROTOCOL_VERSION,
        }
    }
}

/// What the caller did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The key has not the length of its algorithm.
    #[error("key has the wrong length for its algorithm")]
    KeyLength,
    /// Keys or a secret of AES-128-CCM, in a build without the feature `ccm`.
    #[error("algorithm that this build was made without")]
    AlgorithmLeftOut,
    /// The keys of the two directions of one connection are of different versions or algorithms.
    #[error("keys of the two directions do not fit together")]
    DirectionsDiffer,
    /// Keys do not derive from the secret that their successors are to derive from.
    #[error("keys do not derive from their secret")]
    SecretDiffers,
    /// The output buffer cannot hold the record.
    #[error("output buffer too small: {have} bytes, {need} needed")]
    OutputTooSmall {
        /// Bytes that the call needs.
        need: usize,
        /// Bytes that it was given.
        have: usize,
    },
    /// The plaintext of one record is longer than [`crate::Sealer::max_plaintext`].
    #[error("plaintext too long for one record")]
    PlaintextTooLong,
    /// The bytes given to open are not exactly one record.
    #[error("input is not exactly one record")]
    NotOneRecord,
    /// A record size limit outside of 64 to 2^14 + 1 (RFC 8449 section 4), or most plaintext bytes
    /// of a record outside of 1 to 2^14.
    #[error("record size limit out of range")]
    RecordSizeLimit,
    /// A change_cipher_spec or, in TLS 1.3, an empty alert or handshake record was to be sealed.
    #[error("such a record may not be sent")]
    ForbiddenRecord,
    /// A connection ID longer than [`crate::dtls::ConnectionId::MAX_LEN`].
    #[error("connection ID too long")]
    ConnectionIdTooLong,
    /// Keys of TLS 1.3 alone, which lack the key for record numbers: see [`crate::dtls::EpochSecret`].
    #[error("keys without a key for record numbers")]
    NoNumberKey,
    /// Keys of an epoch that does not follow the one before.
    #[error("keys of an epoch that is not the next")]
    EpochOrder,
    /// An epoch that has no keys, or a sequence number of DTLS that six bytes cannot hold.
    #[error("record number out of range")]
    RecordNumber,
}
