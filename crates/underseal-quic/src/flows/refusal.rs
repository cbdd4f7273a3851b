use underseal_record::quic::{Dropped, Refused};

/// Why a connection ID was not issued or registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRegistered {
    /// As many connection IDs are in use as the table has room for.
    #[error("no room for another connection ID")]
    Full,
    /// It was not issued here, or is registered or retired.
    #[error("connection ID that was not issued")]
    Unknown,
    /// The kernel gives no random bytes.
    #[error("no random bytes")]
    Random,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotOpened {
    /// It is too short to be a packet.
    #[error("datagram too short to be a packet")]
    TooShort,
    /// The fixed bit is not set.
    #[error("not a packet of QUIC")]
    NotQuic,
    /// It starts with a long header: it belongs to a handshake, or negotiates versions.
    #[error("long header")]
    LongHeader,
    /// No connection has its connection ID. It may be a stateless reset.
    #[error("unknown connection ID")]
    UnknownConnection,
    /// Its connection ID was issued, and no keys were registered for it yet.
    #[error("no keys for this connection yet")]
    NoKeys,
    /// It is of a connection, and was not opened.
    #[error(transparent)]
    Dropped(#[from] Dropped),
    /// It was opened, and shows that the peer updated its key twice without an answer: the connection
    /// ends with KEY_UPDATE_ERROR.
    #[error(transparent)]
    KeyUpdate(#[from] Refused),
}
