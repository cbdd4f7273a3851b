//! The fields that say how a request is to be read.

use crate::fields::{Options, listed};
use crate::head::Framing;
use crate::refusal::Refusal;
use crate::request::{Range, Span};

/// What was noted of the fields.
#[derive(Debug, Default)]
pub(super) struct Noted<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    /// Transfer-Encoding; it is `chunked`.
    is_chunked: bool,
    options: Options,
}

impl<'a> Noted<'a> {
    /// Notes a field line of `head` and returns where it stands.
    pub(super) fn note(
        &mut self,
        head: &'a [u8],
        header: &httparse::Header<'a>,
    ) -> Result<Span, Refusal> {
        let name = header.name.as_bytes();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(header.value)?,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length(header.value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                // `chunked` twice, or after another coding, is one more thing to disagree about.
                let chunked = header.value.eq_ignore_ascii_case(b"chunked");
                if !chunked || std::mem::replace(&mut self.is_chunked, true) {
                    return Err(Refusal::TransferEncoding);
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                check_connection(header.value)?;
                self.options.note(header.value)?;
            }
            _ => {}
        }
        Ok(Span {
            name: range(head, name),
            value: range(head, header.value),
        })
    }

    fn note_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        let before = self.host.replace(value);
        before.map_or(Ok(()), |_| Err(Refusal::SeveralHosts))
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() || value.contains(&b',') {
            return Err(Refusal::SeveralLengths);
        }
        let length = content_length(value)?;
        self.length = Some(length);
        Ok(())
    }

    pub(super) fn host(&self) -> Result<&'a [u8], Refusal> {
        self.host.ok_or(Refusal::NoHost)
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    pub(super) fn framing(&self, minor_version: u8) -> Result<Framing, Refusal> {
        match (self.length, self.is_chunked) {
            (Some(_), true) => Err(Refusal::BothLengths),
            (None, true) if minor_version == 0 => Err(Refusal::TransferEncoding),
            (None, true) => Ok(Framing::Chunked),
            (Some(length), false) => Ok(Framing::Length(length)),
            (None, false) => Ok(Framing::Empty),
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

/// A proxy takes out what Connection names: a field that says how to read the request, or who it
/// is for, must not go missing on the way.
fn check_connection(value: &[u8]) -> Result<(), Refusal> {
    const KEPT: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];
    if listed(value).any(|option| KEPT.iter().any(|kept| option.eq_ignore_ascii_case(kept))) {
        return Err(Refusal::Connection);
    }
    Ok(())
}

/// Where `part` stands in `head`, which it was taken from. Heads are shorter than 64 KiB.
fn range(head: &[u8], part: &[u8]) -> Range {
    let from = part.as_ptr().addr() - head.as_ptr().addr();
    (from as u32, (from + part.len()) as u32)
}
