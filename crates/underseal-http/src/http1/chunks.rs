//! The chunked transfer coding (RFC 9112 section 7.1), read as strictly as it is written there.

use crate::fields::{in_value, is_token};
use crate::refusal::Refusal;

/// How long a line with a chunk's size may be, with its end, and for [`Chunks`] a line of the trailer section.
pub const MAX_CHUNK_LINE: usize = 256;

/// How long the trailer section may be.
const MAX_TRAILERS: usize = 8192;

/// Reads a chunked body as it passes, without keeping any of it.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// Bytes of a chunk that are still to come.
    Data(u64),
    /// CR and LF after a chunk.
    DataEnd,
    /// Bytes of the trailer section so far.
    Trailers(usize),
    End,
}

/// What the bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes belong to the framing.
    Framing(usize),
    /// This many bytes are content.
    Data(usize),
    /// Nothing can be said before there are more bytes.
    Incomplete,
    /// The body has ended; what follows is the next request.
    End,
}

impl Chunks {
    /// Whether the last chunk has gone by, so that what comes are lines of the trailer section.
    pub fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailers(_))
    }

    /// Whether the body has ended.
    pub fn has_ended(&self) -> bool {
        self.state == State::End
    }

    /// What `bytes`, the body from where the last piece ended, begins with.
    ///
    /// # Errors
    /// [`Refusal::Chunk`] where the coding is broken, the sender's fault. The body has no end then,
    /// and nothing more can be read from the connection.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, Refusal> {
        match self.state {
            State::Data(left) if !bytes.is_empty() => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                self.state = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                };
                Ok(Piece::Data(taken))
            }
            State::Data(_) => Ok(Piece::Incomplete),
            State::DataEnd => self.data_end(bytes),
            State::Size => self.line(bytes, Self::size),
            State::Trailers(_) => self.line(bytes, Self::trailer),
            State::End => Ok(Piece::End),
        }
    }

    fn data_end(&mut self, bytes: &[u8]) -> Result<Piece, Refusal> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = State::Size;
                Ok(Piece::Framing(2))
            }
            [] | [b'\r'] => Ok(Piece::Incomplete),
            _ => Err(Refusal::Chunk),
        }
    }

    /// Reads one line, without its end, if it is whole.
    fn line(
        &mut self,
        bytes: &[u8],
        read: fn(&mut Self, &[u8]) -> Result<(), Refusal>,
    ) -> Result<Piece, Refusal> {
        let seen = &bytes[..bytes.len().min(MAX_CHUNK_LINE)];
        let Some(end) = memchr::memchr2(b'\r', b'\n', seen) else {
            let is_short = bytes.len() < MAX_CHUNK_LINE;
            return if is_short {
                Ok(Piece::Incomplete)
            } else {
                Err(Refusal::Chunk)
            };
        };
        match &seen[end..] {
            [b'\r', b'\n', ..] => {
                read(self, &seen[..end])?;
                Ok(Piece::Framing(end + 2))
            }
            [b'\r'] if bytes.len() < MAX_CHUNK_LINE => Ok(Piece::Incomplete),
            _ => Err(Refusal::Chunk),
        }
    }

    fn size(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.state = match chunk_size(line)? {
            0 => State::Trailers(0),
            size => State::Data(size),
        };
        Ok(())
    }

    /// A field, or the empty line that ends the body.
    fn trailer(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let State::Trailers(before) = self.state else {
            return Err(Refusal::Chunk);
        };
        if line.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        check_trailer(line)?;
        let read = before + line.len();
        self.state = State::Trailers(read);
        match read <= MAX_TRAILERS {
            true => Ok(()),
            false => Err(Refusal::Chunk),
        }
    }
}

/// The size that `line`, without its end, gives a chunk: `1*HEXDIG`, then perhaps an extension. Sixteen
/// digits could overflow a signed number.
///
/// # Errors
/// [`Refusal::Chunk`].
pub fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    let visible = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if digits.is_empty() || digits.len() > 15 || !extension.iter().all(visible) {
        return Err(Refusal::Chunk);
    }
    digits.iter().try_fold(0_u64, |size, digit| {
        let value = char::from(*digit).to_digit(16).ok_or(Refusal::Chunk)?;
        Ok(size << 4 | u64::from(value))
    })
}

/// Refuses `line` of a trailer section, without its end, if it is no field or one that comes too late: what
/// comes behind the body must not say how long it was or who it was for.
///
/// # Errors
/// [`Refusal::Chunk`].
pub fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    let colon = memchr::memchr(b':', line).ok_or(Refusal::Chunk)?;
    let (name, value) = line.split_at(colon);
    let is_late = [&b"content-length"[..], b"transfer-encoding", b"host"]
        .iter()
        .any(|late| name.eq_ignore_ascii_case(late));
    let is_field = !name.is_empty() && name.iter().all(is_token) && value.iter().all(in_value);
    match is_field && !is_late {
        true => Ok(()),
        false => Err(Refusal::Chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content and how many bytes the body took, read in steps of `step` bytes.
    fn read(body: &[u8], step: usize) -> Result<(Vec<u8>, usize), Refusal> {
        let mut chunks = Chunks::default();
        let (mut content, mut at, mut seen) = (Vec::new(), 0, step.min(body.len()));
        loop {
            match chunks.next(&body[at..seen])? {
                Piece::Framing(len) => at += len,
                Piece::Data(len) => {
                    content.extend_from_slice(&body[at..at + len]);
                    at += len;
                }
                Piece::End => return Ok((content, at)),
                Piece::Incomplete if seen == body.len() => return Err(Refusal::HeadTooLong),
                Piece::Incomplete => seen = (seen + step).min(body.len()),
            }
        }
    }

    #[test]
    fn content_comes_out_however_it_arrives() {
        let body = b"5;a=b\r\nhello\r\n00A\r\n, world!!!\r\n0\r\nX: y\r\n\r\nGET";
        for step in 1..body.len() {
            let (content, len) = read(body, step).expect("well-formed");
            assert_eq!(content, b"hello, world!!!");
            assert_eq!(&body[len..], b"GET");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused_however_it_arrives() {
        for body in [
            &b"\r\n"[..],
            b"5\nhello",
            b"5 \r\nhello",
            b" 5\r\nhello",
            b"0x5\r\nhello",
            b"-1\r\n",
            b"+5\r\nhello",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\rhello",
            b"fffffffffffffffff\r\n",
            b"8000000000000000\r\n",
            b"5;a\x00\r\nhello",
            b"5;\n\r\nhello",
            b"0\r\n\n",
            b"0\r\nX y\r\n\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"g\r\n",
            b"0\r\n folded\r\n\r\n",
            b"5;;\r\r\nhello",
            b";a=b\r\n",
        ] {
            for step in 1..=body.len() {
                let shown = String::from_utf8_lossy(body);
                assert_eq!(read(body, step), Err(Refusal::Chunk), "{shown:?} by {step}");
            }
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let endless = [&b"5;"[..], &[b'a'; MAX_CHUNK_LINE]].concat();
        assert_eq!(read(&endless, 7), Err(Refusal::Chunk));
        let line = [&b"X: "[..], &[b'a'; 200], b"\r\n"].concat();
        let trailers = [&b"0\r\n"[..], &line.repeat(50)].concat();
        assert_eq!(read(&trailers, 64), Err(Refusal::Chunk));
    }
}
