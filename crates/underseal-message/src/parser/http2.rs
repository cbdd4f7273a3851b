use super::{MessageParser, ParseError, Parsed};

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header, and of the payload's length, with which it starts.
const HEADER: u64 = 9;
const LENGTH: usize = 3;

/// The frames of an HTTP/2 connection: nine bytes of header, then the payload (RFC 9113 section
/// 4.1). A client's preface is a message of its own.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Bytes of the preface that are to come.
    preface: &'static [u8],
    max_frame_size: u32,
    /// Bytes of the length so far, and their value.
    seen: usize,
    length: u32,
}

impl Http2 {
    /// What a payload may be long unless a setting allows more (RFC 9113 section 6.5.2).
    pub const DEFAULT_MAX_FRAME_SIZE: u32 = 1 << 14;

    /// What a client sends: the preface, then frames.
    pub fn client() -> Self {
        Self {
            preface: PREFACE,
            ..Self::server()
        }
    }

    /// What a server sends: frames.
    pub fn server() -> Self {
        Self {
            preface: &[],
            max_frame_size: Self::DEFAULT_MAX_FRAME_SIZE,
            seen: 0,
            length: 0,
        }
    }

    /// Payloads may have up to `bytes` bytes: what the receiver announced as
    /// SETTINGS_MAX_FRAME_SIZE.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: u32) -> Self {
        self.set_max_frame_size(bytes);
        self
    }

    /// The same for frames that come from now on.
    pub fn set_max_frame_size(&mut self, bytes: u32) {
        self.max_frame_size = bytes;
    }

    fn parse_preface(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        let len = bytes.len().min(self.preface.len());
        if bytes[..len] != self.preface[..len] {
            return Err(ParseError::Malformed("not the preface of HTTP/2"));
        }
        self.preface = &self.preface[len..];
        Ok(match self.preface.len() as u64 {
            0 => Parsed::Message(len as u64),
            missing => Parsed::NeedMore(missing),
        })
    }
}

impl MessageParser for Http2 {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        if !self.preface.is_empty() {
            return self.parse_preface(bytes);
        }
        let before = self.seen;
        for byte in bytes.iter().take(LENGTH - before) {
            self.length = self.length << 8 | u32::from(*byte);
            self.seen += 1;
        }
        if self.seen < LENGTH {
            return Ok(Parsed::NeedMore(HEADER - self.seen as u64));
        }
        // Before a byte of payload is waited for.
        if self.length > self.max_frame_size {
            return Err(ParseError::BadLength {
                length: u64::from(self.length),
                why: "more than the maximum frame size",
            });
        }
        let total = HEADER + u64::from(self.length) - before as u64;
        (self.seen, self.length) = (0, 0);
        Ok(Parsed::Message(total))
    }
}
