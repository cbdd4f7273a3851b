use core::fmt;

/// What a record carries (RFC 8446 section 5.1; IANA "TLS ContentType").
///
/// Any value can be sent and received: a kernel TLS socket hands records of every type to its
/// user, and so does underseal.
#[doc(alias = "TLS_SET_RECORD_TYPE")]
#[doc(alias = "TLS_GET_RECORD_TYPE")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentType(pub u8);

impl ContentType {
    /// `change_cipher_spec`: meaningless once keys are in use, and refused then.
    pub const CHANGE_CIPHER_SPEC: Self = Self(20);
    /// `alert`: close_notify, or the reason why the peer gives up.
    pub const ALERT: Self = Self(21);
    /// `handshake`: after the handshake these are tickets and key updates.
    pub const HANDSHAKE: Self = Self(22);
    /// `application_data`: the bytes that the application reads and writes.
    pub const APPLICATION_DATA: Self = Self(23);
    /// `ack`: numbers of records that were received, in DTLS 1.3 (RFC 9147 section 7).
    pub const ACK: Self = Self(26);
}

impl From<u8> for ContentType {
    fn from(value: u8) -> Self {
        Self(value)
    }
}

impl From<ContentType> for u8 {
    fn from(value: ContentType) -> Self {
        value.0
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CHANGE_CIPHER_SPEC => f.write_str("change_cipher_spec"),
            Self::ALERT => f.write_str("alert"),
            Self::HANDSHAKE => f.write_str("handshake"),
            Self::APPLICATION_DATA => f.write_str("application_data"),
            Self::ACK => f.write_str("ack"),
            Self(other) => write!(f, "type {other}"),
        }
    }
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentType({self})")
    }
}
