use crate::nonce::WIRE_VERSION;
use crate::{
    ContentType, Error, HEADER_LEN, MAX_PLAINTEXT, PeerMisbehaved, ProtocolVersion, TAG_LEN,
};

/// What the front of a byte stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a record is there or is not")]
pub enum Deframed {
    /// A whole record.
    Record(RecordHeader),
    /// Only a part of one: this many more bytes complete its header or, once the header is
    /// known, the record.
    Missing(usize),
}

/// A checked record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The outer content type: application_data for every protected TLS 1.3 record.
    pub content_type: ContentType,
    /// Bytes of body that follow the header.
    pub body_len: usize,
}

impl RecordHeader {
    /// Bytes of the whole record, header included.
    pub fn record_len(&self) -> usize {
        HEADER_LEN + self.body_len
    }

    /// Checks the header of a protected record of `version`.
    ///
    /// # Errors
    ///
    /// [`PeerMisbehaved`] for a content type that cannot occur under keys, wrong version bytes, or
    /// a length outside of what the version allows: all before a byte of body is waited for.
    pub fn parse(version: ProtocolVersion, header: [u8; HEADER_LEN]) -> Result<Self, Error> {
        let content_type = ContentType(header[0]);
        let body_len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        check_content_type(version, content_type)?;
        if header[1..3] != WIRE_VERSION {
            let got = u16::from_be_bytes([header[1], header[2]]);
            return Err(PeerMisbehaved::InvalidVersion(got).into());
        }
        if body_len > max_body(version) {
            return Err(PeerMisbehaved::RecordOverflow(body_len).into());
        }
        if body_len < TAG_LEN {
            return Err(PeerMisbehaved::RecordTooShort(body_len).into());
        }
        Ok(Self {
            content_type,
            body_len,
        })
    }
}

/// Finds the first record of a stream of protected records: the header is checked as soon as its
/// five bytes are there, the body is not looked at.
///
/// # Errors
///
/// As [`RecordHeader::parse`]. The stream cannot be read any further then: framing is lost.
#[inline]
pub fn deframe(version: ProtocolVersion, bytes: &[u8]) -> Result<Deframed, Error> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(Deframed::Missing(HEADER_LEN - bytes.len()));
    };
    let header = RecordHeader::parse(version, *header)?;
    Ok(match header.body_len.checked_sub(body.len()) {
        None | Some(0) => Deframed::Record(header),
        Some(missing) => Deframed::Missing(missing),
    })
}

fn check_content_type(version: ProtocolVersion, content_type: ContentType) -> Result<(), Error> {
    let expected = match version {
        // RFC 8446 section 5.2: the type of a protected record is always application_data.
        ProtocolVersion::Tls13 => content_type == ContentType::APPLICATION_DATA,
        // Any other type is the caller's to judge once it is known to be authentic.
        ProtocolVersion::Tls12 => content_type != ContentType::CHANGE_CIPHER_SPEC,
    };
    if expected {
        Ok(())
    } else {
        Err(PeerMisbehaved::UnexpectedContentType(content_type).into())
    }
}

/// RFC 8446 section 5.2 and RFC 5246 section 6.2.3.
const fn max_body(version: ProtocolVersion) -> usize {
    match version {
        ProtocolVersion::Tls13 => MAX_PLAINTEXT + 256,
        ProtocolVersion::Tls12 => MAX_PLAINTEXT + 2048,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(content_type: u8, version: u16, len: u16) -> [u8; HEADER_LEN] {
        let (version, len) = (version.to_be_bytes(), len.to_be_bytes());
        [content_type, version[0], version[1], len[0], len[1]]
    }

    #[test]
    fn a_record_is_found_once_its_last_byte_is_there() {
        let mut stream = header(23, 0x0303, 20).to_vec();
        assert_eq!(
            deframe(ProtocolVersion::Tls13, &stream[..3]),
            Ok(Deframed::Missing(2))
        );
        assert_eq!(
            deframe(ProtocolVersion::Tls13, &stream),
            Ok(Deframed::Missing(20))
        );
        stream.extend([0; 21]);
        let Ok(Deframed::Record(found)) = deframe(ProtocolVersion::Tls13, &stream) else {
            panic!("no record");
        };
        assert_eq!(found.record_len(), 25);
    }

    #[test]
    fn a_bad_header_is_refused_before_its_body_arrives() {
        use ProtocolVersion::{Tls12, Tls13};
        let cases = [
            (Tls13, header(22, 0x0303, 20), AlertKind::Unexpected),
            (Tls13, header(20, 0x0303, 20), AlertKind::Unexpected),
            (Tls12, header(20, 0x0303, 20), AlertKind::Unexpected),
            (Tls13, header(23, 0x0301, 20), AlertKind::Version),
            (Tls12, header(23, 0x0304, 20), AlertKind::Version),
            (Tls13, header(23, 0x0303, 0x4101), AlertKind::Overflow),
            (Tls12, header(23, 0x0303, 0x4801), AlertKind::Overflow),
            (Tls13, header(23, 0x0303, 0), AlertKind::Mac),
            (Tls12, header(23, 0x0303, 15), AlertKind::Mac),
        ];
        for (version, header, kind) in cases {
            let error = deframe(version, &header).unwrap_err();
            assert_eq!(error.alert(), Some(kind.alert()), "{version} {header:?}");
        }
    }

    #[test]
    fn the_largest_lengths_are_accepted() {
        for (version, len) in [
            (ProtocolVersion::Tls13, 0x4100),
            (ProtocolVersion::Tls12, 0x4800),
        ] {
            let found = RecordHeader::parse(version, header(23, 0x0303, len)).unwrap();
            assert_eq!(found.body_len, usize::from(len));
        }
    }

    enum AlertKind {
        Unexpected,
        Version,
        Overflow,
        Mac,
    }

    impl AlertKind {
        fn alert(&self) -> crate::AlertDescription {
            use crate::AlertDescription as A;
            match self {
                Self::Unexpected => A::UNEXPECTED_MESSAGE,
                Self::Version => A::PROTOCOL_VERSION,
                Self::Overflow => A::RECORD_OVERFLOW,
                Self::Mac => A::BAD_RECORD_MAC,
            }
        }
    }
}
