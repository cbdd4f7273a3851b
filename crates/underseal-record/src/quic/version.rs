use crate::quic::PacketType;

/// A version of QUIC whose packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Version 1 (RFC 9000, RFC 9001).
    V1,
    /// Version 2 (RFC 9369): other labels, another salt, other numbers of packet types.
    V2,
}

impl Version {
    /// Every version, for loops in tests.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The number in long headers.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 0x6b33_43cf,
        }
    }

    /// The version with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            0x6b33_43cf => Some(Self::V2),
            _ => None,
        }
    }

    /// What Initial secrets are extracted with (RFC 9001 section 5.2, RFC 9369 section 3.3.1).
    pub(crate) const fn initial_salt(self) -> &'static [u8; 20] {
        match self {
            Self::V1 => {
                b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
            }
            Self::V2 => {
                b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
            }
        }
    }

    /// Key and nonce of the integrity tags of Retry packets (RFC 9001 section 5.8, RFC 9369 section
    /// 3.3.3).
    pub(crate) const fn retry_key(self) -> (&'static [u8; 16], &'static [u8; 12]) {
        match self {
            Self::V1 => (
                b"\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e",
                b"\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb",
            ),
            Self::V2 => (
                b"\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92",
                b"\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a",
            ),
        }
    }

    pub(crate) const fn key_label(self) -> &'static [u8] {
        match self {
            Self::V1 => b"quic key",
            Self::V2 => b"quicv2 key",
        }
    }

    pub(crate) const fn iv_label(self) -> &'static [u8] {
        match self {
            Self::V1 => b"quic iv",
            Self::V2 => b"quicv2 iv",
        }
    }

    pub(crate) const fn header_label(self) -> &'static [u8] {
        match self {
            Self::V1 => b"quic hp",
            Self::V2 => b"quicv2 hp",
        }
    }

    pub(crate) const fn update_label(self) -> &'static [u8] {
        match self {
            Self::V1 => b"quic ku",
            Self::V2 => b"quicv2 ku",
        }
    }

    /// The type that two bits of a long header's first byte name (RFC 9000 section 17.2, RFC 9369
    /// section 3.2); `None` for Retry, which nothing protects.
    pub(crate) const fn long_type(self, first: u8) -> Option<PacketType> {
        let bits = (first >> 4) & 3;
        let bits = match self {
            Self::V1 => bits,
            Self::V2 => bits.wrapping_sub(1) & 3,
        };
        match bits {
            0 => Some(PacketType::Initial),
            1 => Some(PacketType::ZeroRtt),
            2 => Some(PacketType::Handshake),
            _ => None,
        }
    }
}
