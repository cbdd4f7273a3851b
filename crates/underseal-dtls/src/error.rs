use std::io;

use underseal_message::{Denied, MessageDirection};
use underseal_record::{AlertDescription, ApiMisuse};

/// Why an association failed, by the party at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket, or the system below it. `WouldBlock` where it does not wait, or waited long
    /// enough.
    #[error("datagram socket: {0}")]
    Socket(#[from] io::Error),
    /// A datagram could not be sealed: it is too long, or the key has sealed all it may.
    #[error(transparent)]
    Record(#[from] underseal_record::Error),
    /// A program refused a datagram that was to be sent, or has ended a direction.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The direction has a program already.
    #[error("direction has a program already: {0:?}")]
    ProgramAttached(MessageDirection),
    /// The peer closed the association in order.
    #[error("peer closed the association")]
    ClosedByPeer,
    /// This side closed the association.
    #[error("association is closed")]
    Closed,
    /// The peer gave up and said why.
    #[error("peer sent fatal alert: {0}")]
    AlertReceived(AlertDescription),
    /// The association has no key updates: it is of DTLS 1.2, or of parts without them.
    #[error("association cannot update its keys")]
    NoKeyUpdates,
    /// So many records were forged that the receiving key must not be used any more.
    #[error("integrity limit reached: too many datagrams were forged")]
    IntegrityLimit,
    /// The handshake failed; OpenSSL says why.
    #[cfg(feature = "openssl")]
    #[error("handshake failed: {0}")]
    Handshake(#[from] openssl::ssl::Error),
    /// The handshake failed; BoringSSL says why.
    #[cfg(feature = "boring")]
    #[error("handshake failed: {0}")]
    BoringHandshake(boring::ssl::Error),
    /// The handshake was not over in time.
    #[cfg(any(feature = "boring", feature = "openssl"))]
    #[error("handshake timed out")]
    HandshakeTimedOut,
    /// The handshake cannot be taken over.
    #[cfg(any(feature = "boring", feature = "openssl"))]
    #[error("handshake cannot be taken over: {0}")]
    Handover(#[from] crate::Refusal),
    /// OpenSSL cannot be set up.
    #[cfg(feature = "openssl")]
    #[error("OpenSSL: {0}")]
    Setup(#[from] openssl::error::ErrorStack),
    /// BoringSSL cannot be set up.
    #[cfg(feature = "boring")]
    #[error("BoringSSL: {0}")]
    BoringSetup(boring::error::ErrorStack),
    /// Neither side sent data for as long as a listener waits.
    #[error("association was silent for too long")]
    Silent,
    /// The peer made another association from the same address.
    #[error("association was replaced by another one of the same address")]
    Replaced,
    /// A listener has as many associations as it may have.
    #[error("as many associations as may be")]
    TooManyAssociations,
    /// A connection ID that a listener cannot tell from others: of another length than its
    /// configuration says, one that another association has, or any of DTLS 1.3.
    #[error("connection ID is of another length or version, or in use")]
    ConnectionId,
}

impl Error {
    /// Whether a payload is too long for a record (2^14 bytes): it was not sent, and the association goes
    /// on.
    pub fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Record(underseal_record::Error::ApiMisuse(
                ApiMisuse::PlaintextTooLong
            ))
        )
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Socket(_) => {
                return match error {
                    Error::Socket(socket) => socket,
                    other => Self::other(other),
                };
            }
            Error::Denied(_) => io::ErrorKind::PermissionDenied,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::ClosedByPeer | Error::AlertReceived(_) => io::ErrorKind::ConnectionAborted,
            #[cfg(any(feature = "boring", feature = "openssl"))]
            Error::HandshakeTimedOut => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
