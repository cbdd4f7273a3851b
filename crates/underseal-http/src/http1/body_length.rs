//! How long a body is (RFC 9112 section 6.3): one rule for requests and responses, whoever reads them.

use super::ResponseFraming;
use crate::fields::is;
use crate::head::Framing;
use crate::refusal::Refusal;

/// What the fields of a head say about how long its body is.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyLength {
    length: Option<u64>,
    /// Transfer-Encoding; it is `chunked`.
    is_chunked: bool,
}

impl BodyLength {
    /// Adds what one field line says, whose `name` is a token; most say nothing.
    ///
    /// # Errors
    /// [`Refusal::SeveralLengths`], [`Refusal::Length`] and [`Refusal::TransferEncoding`].
    pub fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match name.len() {
            14 if is(name, b"content-length") => self.note_length(value),
            17 if is(name, b"transfer-encoding") => self.note_coding(value),
            _ => Ok(()),
        }
    }

    /// What Content-Length says.
    pub(super) fn length(self) -> Option<u64> {
        self.length
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() || value.contains(&b',') {
            return Err(Refusal::SeveralLengths);
        }
        self.length = Some(content_length(value)?);
        Ok(())
    }

    /// `chunked` twice, or after another coding, is one more thing to disagree about.
    fn note_coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let is_chunked = value.eq_ignore_ascii_case(b"chunked");
        if !is_chunked || std::mem::replace(&mut self.is_chunked, true) {
            return Err(Refusal::TransferEncoding);
        }
        Ok(())
    }

    /// The body of a request of HTTP/1.`minor_version`.
    ///
    /// # Errors
    /// [`Refusal::BothLengths`], and [`Refusal::TransferEncoding`] in HTTP/1.0.
    pub fn of_request(self, minor_version: u8) -> Result<Framing, Refusal> {
        self.check(minor_version)?;
        Ok(match (self.length, self.is_chunked) {
            (Some(length), _) => Framing::Length(length),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::Empty,
        })
    }

    /// The body of a response with `status`, read as one of HTTP/1.`minor_version`, to a HEAD if it
    /// `answers_head`.
    ///
    /// # Errors
    /// As [`Self::of_request`].
    pub fn of_response(
        self,
        minor_version: u8,
        status: u16,
        answers_head: bool,
    ) -> Result<ResponseFraming, Refusal> {
        self.check(minor_version)?;
        if answers_head || matches!(status, 100..200 | 204 | 304) {
            return Ok(ResponseFraming::Empty);
        }
        Ok(match (self.length, self.is_chunked) {
            (Some(0), _) => ResponseFraming::Empty,
            (Some(length), _) => ResponseFraming::Length(length),
            (None, true) => ResponseFraming::Chunked,
            (None, false) => ResponseFraming::UntilClose,
        })
    }

    fn check(self, minor_version: u8) -> Result<(), Refusal> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Refusal::BothLengths),
            (true, None) if minor_version == 0 => Err(Refusal::TransferEncoding),
            _ => Ok(()),
        }
    }
}

/// A number of bytes: digits alone, no sign, no space, within what every program can count.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Length);
    }
    let add = |length, digit: &u8| length * 10 + u64::from(*digit - b'0');
    Ok(value.iter().fold(0, add))
}
