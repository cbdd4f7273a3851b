use std::io;

use underseal_message::Denied;
use underseal_record::{AlertDescription, ContentType};
use underseal_sys::tls::Direction;

use crate::Errno;
use crate::offload::Refusal;

/// Why a TLS stream failed, by the party at fault.
///
/// The streams' methods return [`io::Error`], as every Rust stream does; [`Error::of`] finds this
/// error in it. What rustls says itself, why a handshake failed or which alert the peer sent, is in
/// the [`io::Error`] as [`rustls::Error`], with its text and of kind `InvalidData` (`Other` where rustls
/// refuses the configuration, before anything is sent): a program that asked tokio-rustls' errors with `downcast_ref::<rustls::Error>()` goes on doing so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The handshake failed; rustls says why.
    #[error("handshake failed: {0}")]
    Handshake(#[source] rustls::Error),
    /// The peer ended the connection during the handshake. The text is tokio-rustls'.
    #[error("tls handshake eof")]
    ClosedInHandshake,
    /// A record could not be opened or sealed.
    #[error(transparent)]
    Record(#[from] underseal_record::Error),
    /// The peer broke the protocol above the record layer.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// The peer gave up and said why, during the handshake or after it.
    #[error("peer sent fatal alert: {0}")]
    AlertReceived(AlertDescription),
    /// The TCP stream ended without a close_notify: what was received may be cut short.
    #[error("connection closed without close_notify, the data may be truncated")]
    Truncated,
    /// This side closed its direction (or the connection failed) and then wrote again.
    #[error("write after the sending side was closed")]
    WriteAfterClose,
    /// A record of a type other than application data waits to be read with `read_record`.
    #[error("a record of {0} is pending, read it with `read_record`")]
    RecordPending(ContentType),
    /// The program of this stream refuses data, see [`crate::message::Verdict::Drop`]. A writer is
    /// told once, and its data was not taken. A program that ended the stream says why
    /// ([`Denied::Ended`]), to a reader behind all that passed before.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The direction has a program: another cannot be attached, nor the stream taken apart, before
    /// it is detached.
    #[error("a program is attached to {0:?}")]
    ProgramAttached(underseal_message::MessageDirection),
    /// The program of the direction holds data that was not judged, or not sent.
    #[error("the program of {0:?} holds data")]
    ProgramHoldsData(underseal_message::MessageDirection),
    /// The program of the direction may wait for longer messages than its filter holds
    /// ([`crate::message::Filter::cork_limit`]): they would be lost, and what is behind them.
    #[error("messages of {longest} bytes, and a filter that holds {limit}: see Filter::cork_limit")]
    CorkLimit {
        /// Bytes that the program may wait for.
        longest: u64,
        /// Bytes that the filter holds.
        limit: usize,
    },
    /// The connection cannot do this.
    #[error("not supported: {feature}{}", said(*errno))]
    Unsupported {
        /// What it cannot do.
        feature: &'static str,
        /// What the kernel said, if it was asked.
        errno: Option<Errno>,
    },
    /// The kernel engine was asked for, or holds the direction, and the kernel cannot do this.
    #[error("kernel engine, direction {direction}: {refusal}")]
    Offload {
        /// The direction.
        direction: Direction,
        /// What the kernel cannot do.
        refusal: Refusal,
    },
}

/// What the peer did wrong above the record layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// A record of a type that has no place after the handshake.
    #[error("unexpected record of {0}")]
    UnexpectedContentType(ContentType),
    /// A handshake message that has no place after the handshake.
    #[error("unexpected handshake message of type {0}")]
    UnexpectedHandshakeMessage(u8),
    /// Another record came between two parts of a handshake message, or bytes followed a
    /// KeyUpdate under the old key (RFC 8446 section 5.1).
    #[error("handshake message interleaved with other records or spanning a key change")]
    InterleavedHandshake,
    /// A handshake message longer than 64 KiB.
    #[error("handshake message of {0} bytes is too long")]
    HandshakeMessageTooLong(usize),
    /// An alert that is not two bytes, or a KeyUpdate that is not one.
    #[error("malformed message")]
    Malformed,
    /// A KeyUpdate that is neither update_not_requested nor update_requested.
    #[error("key update with unknown request {0}")]
    InvalidKeyUpdateRequest(u8),
    /// Control messages without end and hardly any data between them.
    #[error("too many key updates or warnings without data between them")]
    TooManyControlMessages,
    /// A session ticket that rustls refused.
    #[error("invalid session ticket")]
    InvalidTicket,
}

impl PeerMisbehaved {
    /// The alert for this fault (RFC 8446 section 6.2).
    pub fn alert(self) -> AlertDescription {
        match self {
            Self::UnexpectedContentType(_)
            | Self::UnexpectedHandshakeMessage(_)
            | Self::InterleavedHandshake
            | Self::TooManyControlMessages => AlertDescription::UNEXPECTED_MESSAGE,
            Self::HandshakeMessageTooLong(_) | Self::InvalidKeyUpdateRequest(_) => {
                AlertDescription::ILLEGAL_PARAMETER
            }
            Self::Malformed | Self::InvalidTicket => AlertDescription::DECODE_ERROR,
        }
    }
}

/// What the kernel said, as an addition to a message.
fn said(errno: Option<Errno>) -> String {
    errno.map_or_else(String::new, |errno| format!(", the kernel says {errno}"))
}

impl Error {
    pub(crate) fn unsupported(feature: &'static str) -> Self {
        Self::Unsupported {
            feature,
            errno: None,
        }
    }

    /// The kernel refused a feature of its own.
    pub(crate) fn refused(feature: &'static str, errno: underseal_sys::Errno) -> Self {
        Self::Unsupported {
            feature,
            errno: Some(Errno::new(errno)),
        }
    }

    /// The underseal error that an [`io::Error`] of this crate was made from, if there is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        inner.downcast_ref::<Self>().cloned().or_else(|| {
            let rustls = inner.downcast_ref::<rustls::Error>()?;
            Some(rustls.clone().into())
        })
    }

    /// The alert that this side sent, or would send, for this error. `None` where there is nothing
    /// to tell: the peer spoke last, or is gone, or the fault is local. Alerts of a failed
    /// handshake are rustls' and are sent by it.
    pub fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Record(error) => error.alert(),
            Self::PeerMisbehaved(why) => Some(why.alert()),
            Self::Unsupported { .. } | Self::Offload { .. } => {
                Some(AlertDescription::INTERNAL_ERROR)
            }
            _ => None,
        }
    }

    /// What a handshake that cannot begin fails with: as with tokio-rustls of another kind, because it
    /// is the configuration that rustls refuses, and nothing that the peer said.
    pub(crate) fn before_handshake(self) -> io::Error {
        match self {
            Self::Handshake(reason) => io::Error::other(reason),
            error => error.into(),
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Truncated | Self::ClosedInHandshake => io::ErrorKind::UnexpectedEof,
            Self::WriteAfterClose => io::ErrorKind::BrokenPipe,
            Self::Unsupported { .. } | Self::Offload { .. } => io::ErrorKind::Unsupported,
            Self::Denied(_) => io::ErrorKind::PermissionDenied,
            Self::ProgramAttached(_) | Self::ProgramHoldsData(_) => io::ErrorKind::ResourceBusy,
            Self::CorkLimit { .. } => io::ErrorKind::InvalidInput,
            Self::RecordPending(_) => io::ErrorKind::Other,
            Self::Handshake(_)
            | Self::AlertReceived(_)
            | Self::Record(_)
            | Self::PeerMisbehaved(_) => io::ErrorKind::InvalidData,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        match error {
            Error::Handshake(reason) => Self::new(kind, reason),
            Error::AlertReceived(alert) => {
                Self::new(kind, rustls::Error::AlertReceived(alert.0.into()))
            }
            error => Self::new(kind, error),
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => {
                Self::AlertReceived(AlertDescription(alert.into()))
            }
            reason => Self::Handshake(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_reason_of_rustls_is_in_the_chain_of_sources() {
        let reason = rustls::Error::NoCertificatesPresented;
        let error = Error::from(reason.clone());
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&reason));
    }

    #[test]
    fn an_io_error_gives_back_what_it_was_made_from() {
        for error in [
            Error::Handshake(rustls::Error::NoCertificatesPresented),
            Error::AlertReceived(AlertDescription(255)),
            Error::Truncated,
        ] {
            let text = error.to_string();
            let found = Error::of(&error.into()).map(|error| error.to_string());
            assert_eq!(found, Some(text));
        }
        assert!(Error::of(&io::ErrorKind::BrokenPipe.into()).is_none());
    }

    #[test]
    fn what_is_not_supported_has_a_name_and_what_the_kernel_said() {
        let error = Error::unsupported("padding by the kernel engine");
        assert_eq!(
            error.to_string(),
            "not supported: padding by the kernel engine"
        );
        let error = Error::refused("TLS_TX_ZEROCOPY_RO", underseal_sys::Errno::NOPROTOOPT);
        let text = "not supported: TLS_TX_ZEROCOPY_RO, the kernel says ENOPROTOOPT";
        assert_eq!(error.to_string(), text);
    }
}
