//! The fields that say how a request is to be read.

use super::body_length::BodyLength;
use crate::fields::{Options, is};
use crate::refusal::Refusal;

/// What was noted of the fields.
#[derive(Debug, Default)]
pub(super) struct Noted<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) length: BodyLength,
    pub(super) options: Options,
}

impl<'a> Noted<'a> {
    /// Notes a field line. In line, since it has nothing to do with most.
    #[inline(always)]
    pub(super) fn note(&mut self, field: &httparse::Header<'a>) -> Result<(), Refusal> {
        let name = field.name.as_bytes();
        match name.len() {
            4 if is(name, b"host") => self.note_host(field.value),
            10 if is(name, b"connection") => self.note_connection(field.value),
            14 | 17 => self.length.note(name, field.value),
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        let before = self.host.replace(value);
        before.map_or(Ok(()), |_| Err(Refusal::SeveralHosts))
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.options.note(value)?;
        match self.options.names_framing {
            true => Err(Refusal::Connection),
            false => Ok(()),
        }
    }
}
