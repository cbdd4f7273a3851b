use super::framing::check_trailers;
use super::section::Section;
use crate::ParseError;

/// A chunked body (RFC 9112 section 7.1).
#[derive(Debug)]
pub(super) enum Chunked {
    /// The line of a chunk's size.
    Size(Size),
    /// Bytes of a chunk that are to come.
    Data(u64),
    /// The line's end behind a chunk.
    DataEnd { after_cr: bool },
    /// What follows the last chunk.
    Trailers(Section),
}

/// A chunk's size, and the extensions behind it.
#[derive(Debug, Default)]
pub(super) struct Size {
    value: u64,
    digits: u8,
    extension: usize,
    after_cr: bool,
}

/// More digits are no number that can be counted.
const MAX_DIGITS: u8 = 16;

/// Most bytes of a chunk's extensions. Nobody uses them, but to exhaust who reads them.
const MAX_EXTENSION: usize = 256;

/// The least that follows a chunk's line end: the last chunk, and no trailers.
const LAST: u64 = 5;

impl Chunked {
    pub(super) fn new() -> Self {
        Self::Size(Size::default())
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
                Self::Size(size) => {
                    if size.look_at(bytes[at])? {
                        *self = size.next();
                    }
                    at += 1;
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
            Self::Size(size) => size.needs(),
            Self::Data(left) => left.saturating_add(2 + LAST),
            Self::DataEnd { after_cr } => LAST + if *after_cr { 1 } else { 2 },
            Self::Trailers(section) => section.needs(),
        }
    }
}

impl Size {
    /// Whether the line ends with `byte`.
    fn look_at(&mut self, byte: u8) -> Result<bool, ParseError> {
        if self.after_cr {
            return match byte {
                b'\n' => Ok(true),
                _ => Err(ParseError::Malformed("a CR without LF")),
            };
        }
        match (byte as char).to_digit(16) {
            Some(digit) if self.extension == 0 => self.digit(digit)?,
            _ if self.digits == 0 => {
                return Err(ParseError::Malformed("a chunk size that is no number"));
            }
            _ if byte == b'\r' => self.after_cr = true,
            _ => self.extension(byte)?,
        }
        Ok(false)
    }

    fn digit(&mut self, digit: u32) -> Result<(), ParseError> {
        self.digits += 1;
        if self.digits > MAX_DIGITS {
            return Err(ParseError::BadLength {
                length: self.value,
                why: "a chunk size of more than 16 digits",
            });
        }
        self.value = self.value << 4 | u64::from(digit);
        Ok(())
    }

    /// Extensions are not looked at, but they may not hide a line's end, and start where the
    /// grammar says (RFC 9112 section 7.1.1).
    fn extension(&mut self, byte: u8) -> Result<(), ParseError> {
        let is_allowed = match byte {
            b';' => true,
            b'\t' | b' '..=b'~' | 0x80.. => self.extension > 0,
            _ => false,
        };
        self.extension += 1;
        match is_allowed && self.extension <= MAX_EXTENSION {
            true => Ok(()),
            false => Err(ParseError::Malformed("a chunk extension")),
        }
    }

    fn next(&self) -> Chunked {
        match self.value {
            0 => Chunked::Trailers(Section::trailers()),
            size => Chunked::Data(size),
        }
    }

    fn needs(&self) -> u64 {
        if self.digits == 0 {
            return LAST;
        }
        // More digits can make a chunk of any other size, but not of less than this one.
        let behind = match self.value {
            0 => 2,
            size => size.saturating_add(2 + LAST),
        };
        behind + if self.after_cr { 1 } else { 2 }
    }
}
