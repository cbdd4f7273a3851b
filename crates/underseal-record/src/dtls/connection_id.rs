use core::fmt;

use crate::{ApiMisuse, Error};

/// The connection ID of one direction (RFC 9146): chosen by who receives it, so that he finds the
/// association whatever address a datagram comes from. Empty where none was negotiated.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl ConnectionId {
    /// Most bytes of a connection ID here. The RFC allows 255; Mbed TLS takes up to 32.
    pub const MAX_LEN: usize = 32;

    /// No connection ID.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX_LEN],
        len: 0,
    };

    /// The connection ID with these bytes.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::ConnectionIdTooLong`] past [`Self::MAX_LEN`].
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut own = Self::EMPTY;
        let Some(room) = own.bytes.get_mut(..bytes.len()) else {
            return Err(ApiMisuse::ConnectionIdTooLong.into());
        };
        room.copy_from_slice(bytes);
        own.len = bytes.len() as u8;
        Ok(own)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// How many bytes it has.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionId(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
