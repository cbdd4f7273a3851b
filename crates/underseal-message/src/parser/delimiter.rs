use super::{MessageParser, ParseError, Parsed};

/// Messages that end with given bytes, which belong to them.
#[derive(Clone, Debug)]
pub struct Delimiter {
    bytes: Box<[u8]>,
    /// At `i`: how many bytes of the delimiter end at its byte `i` without starting at its first
    /// (Knuth, Morris, Pratt): where to go on when the byte behind does not fit.
    fallback: Box<[usize]>,
    /// Bytes of the delimiter that the stream ends with so far.
    found: usize,
}

impl Delimiter {
    /// Messages that end with `bytes`.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn new(bytes: &[u8]) -> Self {
        assert!(!bytes.is_empty(), "a delimiter has bytes");
        let mut delimiter = Self {
            bytes: bytes.into(),
            fallback: vec![0; bytes.len()].into(),
            found: 0,
        };
        for (index, byte) in bytes.iter().enumerate().skip(1) {
            delimiter.advance(*byte);
            delimiter.fallback[index] = delimiter.found;
        }
        delimiter.found = 0;
        delimiter
    }

    /// Messages that are lines, ended by LF.
    pub fn line() -> Self {
        Self::new(b"\n")
    }

    fn advance(&mut self, byte: u8) {
        while self.found > 0 && self.bytes[self.found] != byte {
            self.found = self.fallback[self.found - 1];
        }
        self.found += usize::from(self.bytes[self.found] == byte);
    }
}

impl MessageParser for Delimiter {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        for (index, byte) in bytes.iter().enumerate() {
            self.advance(*byte);
            if self.found == self.bytes.len() {
                self.found = 0;
                return Ok(Parsed::Message(index as u64 + 1));
            }
        }
        Ok(Parsed::NeedMore((self.bytes.len() - self.found) as u64))
    }
}
