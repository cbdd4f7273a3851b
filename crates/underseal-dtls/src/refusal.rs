/// Why a handshake cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The handshake is not over.
    #[error("the handshake is not finished")]
    NotFinished,
    /// A version was agreed on that is not taken over from this library.
    #[error("version {0} is not taken over from this library")]
    Version(String),
    /// A cipher suite without AES-GCM or ChaCha20-Poly1305 was agreed on.
    #[error("cipher suite {0} has no AEAD that is known here")]
    CipherSuite(String),
    /// Another handshake was made on top of the first, or the keys were updated.
    #[error("keys were changed after the handshake")]
    Renegotiated,
    /// The library holds the rest of a payload whose beginning the application has read: whole ones are taken
    /// over.
    #[error("data was received that was not read")]
    UnreadData,
    /// More came or went during the handshake than is kept: which records that were is not known.
    #[error("too much was sent or received before the hand-over")]
    TooMuchReceived,
    /// The library does not give the secrets of the session away; BoringSSL's context was not told to log
    /// them.
    #[error("the session has no secrets")]
    NoSecrets,
}
