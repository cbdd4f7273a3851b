use super::{MessageParser, ParseError, Parsed};

/// Bytes of a length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the sizes of an integer")]
pub enum Width {
    /// One byte.
    U8 = 1,
    /// Two bytes.
    U16 = 2,
    /// Three bytes.
    U24 = 3,
    /// Four bytes.
    U32 = 4,
    /// Eight bytes.
    U64 = 8,
}

/// The order of the bytes of a length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum ByteOrder {
    /// Most significant first: network order.
    Big,
    /// Least significant first.
    Little,
}

/// Messages that have their length in front: `offset` bytes, then the length field, then as many
/// bytes as it says, and `adjust` more.
#[derive(Clone, Debug)]
pub struct LengthPrefixed {
    offset: u32,
    width: Width,
    order: ByteOrder,
    adjust: i64,
    check: Option<Check>,
    /// Bytes of the message seen so far; at most those in front and the field.
    seen: u32,
    first: u8,
    length: u64,
}

/// Looks at the first byte of a message and its length field.
type Check = fn(u8, u64) -> Result<(), ParseError>;

impl LengthPrefixed {
    /// Messages that start with a length field in network order, which counts the bytes behind it.
    pub fn new(width: Width) -> Self {
        Self {
            offset: 0,
            width,
            order: ByteOrder::Big,
            adjust: 0,
            check: None,
            seen: 0,
            first: 0,
            length: 0,
        }
    }

    /// `offset` bytes come before the length field.
    #[must_use]
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// The order of the bytes of the length field.
    #[must_use]
    pub fn byte_order(mut self, order: ByteOrder) -> Self {
        self.order = order;
        self
    }

    /// `adjust` bytes more than the field says follow it: negative where it counts itself or what
    /// is before it.
    #[must_use]
    pub fn adjust(mut self, adjust: i64) -> Self {
        self.adjust = adjust;
        self
    }

    fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The messages of a gRPC stream, which is the content of HTTP/2 DATA frames: a flag that is 0
    /// or 1 for compressed, then four bytes of length (gRPC over HTTP2, Length-Prefixed-Message).
    pub fn grpc() -> Self {
        Self::new(Width::U32).offset(1).check(|flag, _| match flag {
            0 | 1 => Ok(()),
            _ => Err(ParseError::Malformed("a gRPC flag that is neither 0 nor 1")),
        })
    }

    /// Thrift's framed transport: four bytes of length, of which the first bit is 0.
    pub fn thrift_framed() -> Self {
        Self::new(Width::U32).check(|_, length| match i32::try_from(length) {
            Ok(_) => Ok(()),
            Err(_) => Err(ParseError::BadLength {
                length,
                why: "negative as a Thrift frame size",
            }),
        })
    }

    /// DNS over TCP: two bytes of length, then a message with a header of twelve (RFC 1035
    /// sections 4.1.1 and 4.2.2).
    pub fn dns() -> Self {
        Self::new(Width::U16).check(|_, length| match length {
            0..12 => Err(ParseError::BadLength {
                length,
                why: "a DNS message is at least 12 bytes long",
            }),
            _ => Ok(()),
        })
    }

    fn prefix(&self) -> u32 {
        self.offset.saturating_add(self.width as u32)
    }

    fn look_at(&mut self, byte: u8) {
        if self.seen == 0 {
            self.first = byte;
        }
        if let Some(index) = self.seen.checked_sub(self.offset) {
            match self.order {
                ByteOrder::Big => self.length = self.length << 8 | u64::from(byte),
                ByteOrder::Little => self.length |= u64::from(byte) << (8 * index),
            }
        }
        self.seen += 1;
    }

    /// Bytes of the whole message, now that all bytes in front of it are there.
    fn total(&self) -> Result<u64, ParseError> {
        let length = self.length;
        if let Some(check) = self.check {
            check(self.first, length)?;
        }
        let bad = |why| ParseError::BadLength { length, why };
        let body = i128::from(length) + i128::from(self.adjust);
        let body = u64::try_from(body).map_err(|_| match body < 0 {
            true => bad("less than the bytes that it counts"),
            false => bad("more than can be counted"),
        })?;
        let total = body.checked_add(u64::from(self.prefix()));
        total.ok_or(bad("more than can be counted"))
    }
}

impl MessageParser for LengthPrefixed {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        let before = self.seen;
        let missing = self.prefix() - before;
        let prefix = bytes.iter().take(missing as usize);
        prefix.for_each(|byte| self.look_at(*byte));
        if self.seen < self.prefix() {
            return Ok(Parsed::NeedMore(u64::from(self.prefix() - self.seen)));
        }
        let total = self.total()?;
        (self.seen, self.length) = (0, 0);
        Ok(Parsed::Message(total - u64::from(before)))
    }
}
