use core::ops::Range;

use crate::quic::{LONG_FORM, Version};

/// The bit that every packet of QUIC has (RFC 9000 section 17.2).
const FIXED_BIT: u8 = 0x40;

/// Bytes of the longest connection ID (RFC 9000 section 17.2).
const MAX_CONNECTION_ID: usize = 20;

/// What of a packet can be read before header protection is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Whose keys open it.
    pub packet_type: PacketType,
    /// The version; short headers have none.
    pub version: Option<Version>,
    /// Where the destination connection ID lies.
    pub destination: Range<usize>,
    /// Where the packet number starts, whose length is hidden.
    pub number_at: usize,
    /// Bytes of the packet. Another may follow in the same datagram (RFC 9000 section 12.2).
    pub len: usize,
}

/// The packets that are protected, each with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "who keeps keys must know each")]
pub enum PacketType {
    /// A long header, and keys that everybody can derive.
    Initial,
    /// A long header, and keys of early data.
    ZeroRtt,
    /// A long header, and keys of the handshake.
    Handshake,
    /// A short header, and keys of the application's data.
    OneRtt,
}

/// Why bytes are no packet that keys could open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotProtected {
    /// The packet is longer than the datagram.
    #[error("truncated packet")]
    Truncated,
    /// The fixed bit is not set: not QUIC, or the extension of RFC 9287, which is not supported.
    #[error("fixed bit not set")]
    FixedBit,
    /// The peer offers other versions.
    #[error("version negotiation packet")]
    VersionNegotiation,
    /// A version that is not known here.
    #[error("unknown version {0:#010x}")]
    UnknownVersion(u32),
    /// A Retry packet, which has an integrity tag that everybody can make, and no protection.
    #[error("retry packet")]
    Retry,
    /// A connection ID longer than 20 bytes.
    #[error("connection ID of {0} bytes is too long")]
    ConnectionIdTooLong(usize),
}

impl Header {
    /// Reads the first packet of `datagram`. `connection_id_len` is the length of the connection IDs
    /// that the receiver gave out: short headers do not say it.
    ///
    /// # Errors
    ///
    /// [`NotProtected`], with nothing assumed of what follows.
    #[inline]
    pub fn parse(datagram: &[u8], connection_id_len: usize) -> Result<Self, NotProtected> {
        let first = *datagram.first().ok_or(NotProtected::Truncated)?;
        match first & LONG_FORM {
            0 => Self::short(datagram, first, connection_id_len),
            _ => Self::long(datagram, first),
        }
    }

    #[inline]
    fn short(datagram: &[u8], first: u8, id_len: usize) -> Result<Self, NotProtected> {
        if first & FIXED_BIT == 0 {
            return Err(NotProtected::FixedBit);
        }
        let number_at = id_len.saturating_add(1);
        if datagram.len() <= number_at {
            return Err(NotProtected::Truncated);
        }
        Ok(Self {
            packet_type: PacketType::OneRtt,
            version: None,
            destination: 1..number_at,
            number_at,
            len: datagram.len(),
        })
    }

    fn long(datagram: &[u8], first: u8) -> Result<Self, NotProtected> {
        let mut reader = Reader { datagram, at: 1 };
        let number = reader.version()?;
        if number == 0 {
            return Err(NotProtected::VersionNegotiation);
        }
        let version = Version::from_number(number).ok_or(NotProtected::UnknownVersion(number))?;
        if first & FIXED_BIT == 0 {
            return Err(NotProtected::FixedBit);
        }
        let destination = reader.connection_id()?;
        reader.connection_id()?;
        let packet_type = version.long_type(first).ok_or(NotProtected::Retry)?;
        if packet_type == PacketType::Initial {
            let token = reader.variable_length()?;
            reader.skip(token)?;
        }
        let rest = reader.variable_length()?;
        let number_at = reader.at;
        reader.skip(rest)?;
        Ok(Self {
            packet_type,
            version: Some(version),
            destination,
            number_at,
            len: reader.at,
        })
    }
}

struct Reader<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn version(&mut self) -> Result<u32, NotProtected> {
        let bytes = self.datagram.get(self.at..).and_then(<[u8]>::first_chunk);
        self.at += 4;
        let bytes = bytes.ok_or(NotProtected::Truncated)?;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn connection_id(&mut self) -> Result<Range<usize>, NotProtected> {
        let len = usize::from(self.byte()?);
        if len > MAX_CONNECTION_ID {
            return Err(NotProtected::ConnectionIdTooLong(len));
        }
        let start = self.at;
        self.skip(len as u64)?;
        Ok(start..self.at)
    }

    fn byte(&mut self) -> Result<u8, NotProtected> {
        let byte = self.datagram.get(self.at).ok_or(NotProtected::Truncated)?;
        self.at += 1;
        Ok(*byte)
    }

    /// A variable-length integer (RFC 9000 section 16).
    fn variable_length(&mut self) -> Result<u64, NotProtected> {
        let first = self.byte()?;
        let mut number = u64::from(first & 0x3f);
        for _ in 1..1 << (first >> 6) {
            number = number << 8 | u64::from(self.byte()?);
        }
        Ok(number)
    }

    /// Passes over bytes that have to be there.
    fn skip(&mut self, len: u64) -> Result<(), NotProtected> {
        let left = self.datagram.len() - self.at;
        let len = usize::try_from(len).ok().filter(|len| *len <= left);
        self.at += len.ok_or(NotProtected::Truncated)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type bits and version of a long header, both connection IDs, and what follows them.
    fn long(first: u8, version: u32, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xc0 | first];
        packet.extend(version.to_be_bytes());
        packet.extend(rest);
        packet
    }

    #[test]
    fn the_types_of_both_versions_are_told_apart() {
        let rest = [2, 7, 8, 1, 9, 0, 4, 1, 2, 3, 4];
        for (version, types) in [
            (Version::V1, [0x00, 0x10, 0x20, 0x30]),
            (Version::V2, [0x10, 0x20, 0x30, 0x00]),
        ] {
            let parse = |bits, rest: &[u8]| Header::parse(&long(bits, version.number(), rest), 8);
            let initial = parse(types[0], &rest).unwrap();
            assert_eq!(initial.packet_type, PacketType::Initial);
            assert_eq!(
                (initial.destination, initial.number_at, initial.len),
                (6..8, 12, 16)
            );
            // Without a token.
            let rest = [2, 7, 8, 1, 9, 4, 1, 2, 3, 4];
            let early = parse(types[1], &rest).unwrap();
            assert_eq!(
                (early.packet_type, early.number_at),
                (PacketType::ZeroRtt, 11)
            );
            let handshake = parse(types[2], &rest).unwrap();
            assert_eq!(handshake.packet_type, PacketType::Handshake);
            assert_eq!(handshake.version, Some(version));
            assert_eq!(parse(types[3], &rest), Err(NotProtected::Retry));
        }
    }

    #[test]
    fn a_packet_ends_where_its_length_says_and_another_may_follow() {
        let mut datagram = long(0x20, 1, &[0, 0, 0x40, 3, 1, 2, 3]);
        let len = datagram.len();
        datagram.extend([0x40; 9]);
        assert_eq!(Header::parse(&datagram, 0).unwrap().len, len);
        for short in 0..len {
            let parsed = Header::parse(&datagram[..short], 0);
            assert_eq!(parsed, Err(NotProtected::Truncated), "{short} bytes");
        }
    }

    #[test]
    fn connection_ids_of_any_length_are_passed_over() {
        for len in [0, 1, 20] {
            let id = vec![9; len];
            let short = [&[0x40][..], &id, &[1, 2, 3, 4]].concat();
            let header = Header::parse(&short, len).unwrap();
            assert_eq!(
                (header.destination, header.number_at),
                (1..1 + len, 1 + len)
            );
            let end = &short[..1 + len];
            assert_eq!(Header::parse(end, len), Err(NotProtected::Truncated));
            let rest = [&[len as u8][..], &id, &[len as u8], &id, &[2, 1, 2]].concat();
            let header = Header::parse(&long(0x20, 1, &rest), 8).unwrap();
            assert_eq!(
                (header.destination, header.number_at),
                (6..6 + len, 8 + 2 * len)
            );
        }
        // Either ID of a long header; and what no datagram is long enough for.
        for (rest, len) in [(&[21; 60][..], 21), (&[0, 255, 0, 0], 255)] {
            let parsed = Header::parse(&long(0x20, 1, rest), 8);
            assert_eq!(parsed, Err(NotProtected::ConnectionIdTooLong(len)));
        }
        let short = Header::parse(&[0x40; 60], usize::MAX);
        assert_eq!(short, Err(NotProtected::Truncated));
    }

    #[test]
    fn what_no_keys_can_open_is_refused_with_its_reason() {
        assert_eq!(Header::parse(&[], 0), Err(NotProtected::Truncated));
        assert_eq!(Header::parse(&[0x40; 8], 8), Err(NotProtected::Truncated));
        assert_eq!(Header::parse(&[0; 30], 8), Err(NotProtected::FixedBit));
        let versions = long(0, 0, &[0; 20]);
        assert_eq!(
            Header::parse(&versions, 8),
            Err(NotProtected::VersionNegotiation)
        );
        let unknown = long(0, 0x0a0a_0a0a, &[0; 20]);
        assert_eq!(
            Header::parse(&unknown, 8),
            Err(NotProtected::UnknownVersion(0x0a0a_0a0a))
        );
        let id = long(0, 1, &[21; 40]);
        assert_eq!(
            Header::parse(&id, 8),
            Err(NotProtected::ConnectionIdTooLong(21))
        );
        let endless = long(
            0x20,
            1,
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        );
        assert_eq!(Header::parse(&endless, 8), Err(NotProtected::Truncated));
    }
}
