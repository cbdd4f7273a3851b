use underseal_http::http1::{MAX_CHUNK_LINE, check_trailer, chunk_size};

use super::section::Section;
use crate::ParseError;

/// A chunked body (RFC 9112 section 7.1), whose lines `underseal-http` reads.
#[derive(Debug)]
pub(super) enum Chunked {
    /// The line of a chunk's size.
    Size(Line),
    /// Bytes of a chunk that are to come.
    Data(u64),
    /// The line's end behind a chunk.
    DataEnd { after_cr: bool },
    /// What follows the last chunk.
    Trailers(Section),
}

/// The bytes of earlier calls of a line that has not ended.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

/// The least that follows a chunk's line end: the last chunk, and no trailers.
const LAST: u64 = 5;

impl Chunked {
    pub(super) fn new() -> Self {
        Self::Size(Line::default())
    }

    /// Looks for the end of the body in `bytes`.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        max_trailers: usize,
    ) -> Result<Option<usize>, ParseError> {
        let mut at = 0;
        while at < bytes.len() {
            match self {
                Self::Size(line) => {
                    let Some((size, len)) = line.scan(&bytes[at..])? else {
                        return Ok(None);
                    };
                    at += len;
                    *self = match size {
                        0 => Self::Trailers(Section::trailers()),
                        size => Self::Data(size),
                    };
                }
                Self::Data(left) => {
                    let here = (bytes.len() - at) as u64;
                    let taken = here.min(*left);
                    at += taken as usize;
                    *left -= taken;
                    if *left == 0 {
                        *self = Self::DataEnd { after_cr: false };
                    }
                }
                Self::DataEnd { after_cr } => {
                    match (*after_cr, bytes[at]) {
                        (false, b'\r') => *after_cr = true,
                        (true, b'\n') => *self = Self::new(),
                        _ => return Err(ParseError::Malformed("a chunk longer than its size")),
                    }
                    at += 1;
                }
                Self::Trailers(section) => {
                    let rest = &bytes[at..];
                    let Some(end) = section.scan(rest, max_trailers)? else {
                        return Ok(None);
                    };
                    let section = std::mem::replace(section, Section::trailers());
                    check_trailers(&section.whole(&rest[..end]))?;
                    return Ok(Some(at + end));
                }
            }
        }
        Ok(None)
    }

    /// Bytes that follow at least.
    pub(super) fn needs(&self) -> u64 {
        match self {
            Self::Size(line) => line.needs(),
            Self::Data(left) => left.saturating_add(2 + LAST),
            Self::DataEnd { after_cr } => LAST + if *after_cr { 1 } else { 2 },
            Self::Trailers(section) => section.needs(),
        }
    }
}

impl Line {
    /// Looks for the end of the line in `bytes`; without one, it keeps them.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<(u64, usize)>, ParseError> {
        let malformed = ParseError::Malformed("the line of a chunk's size");
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let fresh = end.map_or(bytes, |end| &bytes[..=end]);
        if self.0.len() + fresh.len() > MAX_CHUNK_LINE {
            return Err(malformed);
        }
        if end.is_none() || !self.0.is_empty() {
            self.0.extend_from_slice(fresh);
        }
        if end.is_none() {
            return Ok(None);
        }
        let line = if self.0.is_empty() { fresh } else { &self.0 };
        let line = line.strip_suffix(b"\r\n").ok_or(malformed)?;
        let size = chunk_size(line).map_err(|_| malformed)?;
        Ok(Some((size, fresh.len())))
    }

    fn needs(&self) -> u64 {
        let (line, end) = match self.0.strip_suffix(b"\r") {
            Some(line) => (line, 1),
            None => (&*self.0, 2),
        };
        if line.is_empty() {
            return LAST;
        }
        // More digits can make a chunk of any other size, but not of less than this one.
        let behind = match chunk_size(line) {
            Ok(0) | Err(_) => 2,
            Ok(size) => size.saturating_add(2 + LAST),
        };
        behind + end
    }
}

/// Checks trailers: they must not be able to change where a message ends.
fn check_trailers(section: &[u8]) -> Result<(), ParseError> {
    let lines = section.split(|byte| *byte == b'\n');
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match lines.all(|line| line.is_empty() || check_trailer(line).is_ok()) {
        true => Ok(()),
        false => Err(ParseError::Malformed("a field among trailers")),
    }
}
