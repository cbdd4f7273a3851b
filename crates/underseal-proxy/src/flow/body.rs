//! Where a body ends.

use underseal_http::Refusal;
use underseal_http::http1::{Chunks, Piece};

use crate::policy::Guard;

/// What is left of a body, and how its end is known.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// There is no more of it.
    Done,
    /// This many bytes.
    Length(u64),
    /// Chunks, which pass as they are.
    Chunked(Chunks),
    /// All until the source ends in order.
    UntilClose,
}

impl Body {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// How many of `bytes` belong to the body and can be passed on. The others belong to what comes
    /// after it, or cannot be told yet.
    ///
    /// # Errors
    /// [`Refusal::Chunk`] where chunks are broken.
    pub(crate) fn take(&mut self, bytes: &[u8], guard: Option<&Guard>) -> Result<usize, Refusal> {
        match self {
            Self::Done => Ok(0),
            Self::UntilClose => Ok(bytes.len()),
            Self::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                self.pass(taken);
                // No more than there are.
                Ok(taken as usize)
            }
            Self::Chunked(chunks) => {
                let taken = take_chunks(chunks, bytes, guard)?;
                if chunks.has_ended() {
                    *self = Self::Done;
                }
                Ok(taken)
            }
        }
    }

    /// Bytes of a body without framing of its own have passed.
    pub(super) fn pass(&mut self, bytes: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                *self = Self::Done;
            }
        }
    }
}

fn take_chunks(chunks: &mut Chunks, bytes: &[u8], guard: Option<&Guard>) -> Result<usize, Refusal> {
    let mut taken = 0;
    loop {
        let in_trailers = chunks.is_in_trailers();
        match chunks.next(&bytes[taken..])? {
            Piece::Framing(len) => {
                let line = &bytes[taken..taken + len];
                let refuses = |guard: &Guard| guard.refuses(name_of(line));
                if in_trailers && guard.is_some_and(refuses) {
                    return Err(Refusal::Chunk);
                }
                taken += len;
            }
            Piece::Data(len) => taken += len,
            Piece::Incomplete | Piece::End => return Ok(taken),
        }
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(body: &mut Body, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let taken = body.take(bytes, Some(&Guard::new(None)))?;
        Ok((taken, body.is_done()))
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        assert_eq!(take(&mut Body::Length(3), b"abcdef"), Ok((3, true)));
        assert_eq!(take(&mut Body::Length(9), b"abcdef"), Ok((6, false)));
        assert_eq!(take(&mut Body::UntilClose, b"abc"), Ok((3, false)));
        let mut chunked = Body::Chunked(Chunks::default());
        assert_eq!(take(&mut chunked, b"3\r\nabc\r\n0"), Ok((8, false)));
        assert_eq!(take(&mut chunked, b"0\r\nA: b\r\n\r\nGET"), Ok((11, true)));
    }

    #[test]
    fn a_trailer_cannot_say_who_the_client_is() {
        for name in [
            "X-Underseal-Principal",
            "x_underseal_principal",
            "X-Forwarded-For",
        ] {
            let bytes = format!("0\r\n{name}: spiffe://corp/admin\r\n\r\n");
            let mut chunked = Body::Chunked(Chunks::default());
            assert_eq!(take(&mut chunked, bytes.as_bytes()), Err(Refusal::Chunk));
            let mut response = Body::Chunked(Chunks::default());
            assert_eq!(response.take(bytes.as_bytes(), None), Ok(bytes.len()));
        }
    }
}
