//! Where a body ends.

use underseal_http::Refusal;
use underseal_http::fields::may_trail;
use underseal_http::http1::{Chunks, Piece};

use crate::chunk::{Chunk, Compaction};
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

    /// How many bytes of `chunk` belong to the body and can be passed on. The others belong to what comes
    /// after it, or cannot be told yet. Trailers that may not be any are taken out.
    ///
    /// # Errors
    /// [`Refusal::Chunk`] where chunks are broken, [`Refusal::Trailers`] where the guard refuses one.
    pub(crate) fn take(
        &mut self,
        chunk: &mut Chunk,
        guard: Option<&Guard>,
    ) -> Result<usize, Refusal> {
        let Self::Chunked(chunks) = self else {
            return Ok(self.take_unframed(chunk.bytes().len()));
        };
        let mut compaction = chunk.compact();
        let passed = pass_chunks(chunks, &mut compaction, guard);
        let taken = compaction.finish();
        passed?;
        if chunks.has_ended() {
            *self = Self::Done;
        }
        Ok(taken)
    }

    /// How many of the next `len` bytes belong to the body, if it has no framing of its own.
    pub(crate) fn take_unframed(&mut self, len: usize) -> usize {
        match self {
            Self::Done | Self::Chunked(_) => 0,
            Self::UntilClose => len,
            Self::Length(left) => {
                let taken = (*left).min(len as u64);
                self.pass(taken);
                // No more than there are.
                taken as usize
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

/// Goes through what has come of the body, and leaves out the trailers that may not be any.
fn pass_chunks(
    chunks: &mut Chunks,
    bytes: &mut Compaction<'_>,
    guard: Option<&Guard>,
) -> Result<(), Refusal> {
    loop {
        let in_trailers = chunks.is_in_trailers();
        match chunks.next(bytes.rest())? {
            Piece::Framing(len) if in_trailers => {
                let name = name_of(&bytes.rest()[..len]);
                if guard.is_some_and(|guard| guard.refuses(name)) {
                    return Err(Refusal::Trailers);
                }
                match may_trail(name) {
                    true => bytes.keep(len),
                    false => bytes.leave_out(len),
                }
            }
            Piece::Framing(len) | Piece::Data(len) => bytes.keep(len),
            Piece::Incomplete | Piece::End => return Ok(()),
        }
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::tests::MOVED;

    fn take(body: &mut Body, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let taken = body.take(&mut Chunk::copy_of(bytes), Some(&Guard::new(None)))?;
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
            assert_eq!(take(&mut chunked, bytes.as_bytes()), Err(Refusal::Trailers));
            let mut response = Body::Chunked(Chunks::default());
            let mut chunk = Chunk::copy_of(bytes.as_bytes());
            assert_eq!(response.take(&mut chunk, None), Ok(bytes.len()));
        }
    }

    #[test]
    fn a_trailer_for_the_connection_does_not_pass() {
        let body = "1\r\na\r\n0\r\nA: b\r\nConnection: close\r\nkeep-alive: 5\r\nC: d\r\nUpgrade: h2c\r\n\r\n";
        let kept = "1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n";
        for guard in [None, Some(&Guard::new(None))] {
            for step in 1..=body.len() {
                let (mut chunked, mut passed) = (Body::Chunked(Chunks::default()), Vec::new());
                let mut chunk = Chunk::default();
                for bytes in format!("{body}GET").as_bytes().chunks(step) {
                    chunk.append(bytes);
                    let taken = chunked.take(&mut chunk, guard).expect("well-formed");
                    passed.extend_from_slice(&chunk.bytes()[..taken]);
                    chunk.consume(taken);
                }
                assert_eq!(String::from_utf8_lossy(&passed), kept, "by {step}");
                assert_eq!(chunk.bytes(), b"GET", "by {step}");
            }
        }
    }

    #[test]
    fn trailers_that_do_not_pass_move_little() {
        let trailers = "te:\r\nA: b\r\n".repeat(1000);
        let behind = "GET".repeat(50_000);
        let mut chunk = Chunk::copy_of(format!("0\r\n{trailers}\r\n{behind}").as_bytes());
        let kept = 3 + 6 * 1000 + 2;
        let (mut body, before) = (Body::Chunked(Chunks::default()), MOVED.get());
        assert_eq!(body.take(&mut chunk, None), Ok(kept));
        assert!(MOVED.get() - before <= 2 * kept, "not what is behind");
        assert_eq!(chunk.bytes().len(), kept + behind.len());
        assert!(body.is_done() && chunk.bytes()[kept..].starts_with(b"GET"));
    }
}
