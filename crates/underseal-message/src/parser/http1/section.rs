use std::borrow::Cow;

use crate::ParseError;

/// Lines up to an empty one: a head, or the trailers behind the last chunk.
#[derive(Debug)]
pub(super) struct Section {
    /// Bytes of earlier calls.
    bytes: Vec<u8>,
    /// Bytes of the line so far, without its CR.
    line: usize,
    after_cr: bool,
    /// Whether an empty line ends the section: not before a head's first line.
    may_end: bool,
}

impl Section {
    /// A head: it has a first line.
    pub(super) fn head() -> Self {
        Self {
            bytes: Vec::new(),
            line: 0,
            after_cr: false,
            may_end: false,
        }
    }

    /// Trailers, of which there may be none.
    pub(super) fn trailers() -> Self {
        Self {
            may_end: true,
            ..Self::head()
        }
    }

    /// Looks for the end of the section in `bytes`; without one, it keeps them.
    pub(super) fn scan(&mut self, bytes: &[u8], max: usize) -> Result<Option<usize>, ParseError> {
        let end = self.find_end(bytes)?;
        let len = self.bytes.len() + end.unwrap_or(bytes.len());
        if len > max {
            return Err(ParseError::TooLong {
                len: len as u64,
                max: max as u64,
            });
        }
        if end.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(end)
    }

    /// The whole section, which ends with `last`.
    pub(super) fn whole<'b>(self, last: &'b [u8]) -> Cow<'b, [u8]> {
        if self.bytes.is_empty() {
            return Cow::Borrowed(last);
        }
        let mut bytes = self.bytes;
        bytes.extend_from_slice(last);
        Cow::Owned(bytes)
    }

    /// Bytes that follow at least.
    pub(super) fn needs(&self) -> u64 {
        match (self.line == 0 && self.may_end, self.after_cr) {
            (true, true) => 1,
            (true, false) => 2,
            (false, true) => 3,
            (false, false) => 4,
        }
    }

    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, ParseError> {
        for (index, byte) in bytes.iter().enumerate() {
            match (self.after_cr, byte) {
                (true, b'\n') if self.line > 0 => {
                    (self.line, self.after_cr, self.may_end) = (0, false, true);
                }
                (true, b'\n') if self.may_end => return Ok(Some(index + 1)),
                (true, b'\n') => return Err(ParseError::Malformed("an empty line before a head")),
                (true, _) => return Err(ParseError::Malformed("a CR without LF")),
                (false, b'\n') => return Err(ParseError::Malformed("an LF without CR")),
                (false, b'\r') => self.after_cr = true,
                (false, _) => self.line += 1,
            }
        }
        Ok(None)
    }
}
