//! Bodies that come in HTTP/1.1, taken out of their framing.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use underseal_http::Refusal;
use underseal_http::fields::may_trail;
use underseal_http::http1::{Chunks, Piece};

use super::{Part, Parts};
use crate::chunk::Chunk;
use crate::flow::{Body, Broken, Replay};
use crate::stream::Stream;

/// Longest part, in bytes.
const MAX_PART: usize = 64 * 1024;

/// A body as it comes, framing and all.
pub(crate) struct Unframed {
    /// What was read.
    pub(crate) chunk: Chunk,
    pub(crate) body: Body,
    /// Bytes of it that were taken, framing included.
    pub(crate) taken: u64,
    pub(super) trailers: HeaderMap,
    /// What was taken, if it may have to be taken once more.
    pub(crate) replay: Replay,
}

/// A body, and the stream that it comes on.
pub(crate) struct Unframing<'a> {
    pub(crate) unframed: &'a mut Unframed,
    pub(crate) stream: &'a mut Stream,
}

impl Parts for Unframing<'_> {
    fn is_at_end(&self) -> bool {
        self.unframed.is_at_end()
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        self.unframed.poll_part(cx, self.stream)
    }
}

impl Unframed {
    /// A body that begins with what was read already.
    pub(crate) fn new(read: Chunk, body: Body) -> Self {
        Self {
            chunk: read,
            body,
            taken: 0,
            trailers: HeaderMap::new(),
            replay: Replay::default(),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.body.is_done() && self.trailers.is_empty()
    }

    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
    ) -> Poll<Option<Result<Part, Broken>>> {
        loop {
            match self.next() {
                Ok(None) => {}
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Part::Data(data)))),
                Err(refusal) => return Poll::Ready(Some(Err(Broken::Framing(refusal)))),
            }
            if self.body.is_done() {
                let trailers = mem::take(&mut self.trailers);
                let is_last = !trailers.is_empty();
                return Poll::Ready(is_last.then_some(Ok(Part::Trailers(trailers))));
            }
            match ready!(self.chunk.poll_fill(cx, Pin::new(source))) {
                Ok(0) if matches!(self.body, Body::UntilClose) => self.body = Body::Done,
                Ok(0) => {
                    let cut = io::ErrorKind::UnexpectedEof.into();
                    return Poll::Ready(Some(Err(Broken::Source(cut))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Broken::Source(error)))),
            }
        }
    }

    /// What can be taken of what was read: all framing before and behind it is taken too.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let mut data = None;
        while !self.chunk.is_empty() {
            let bytes = self.chunk.bytes();
            let seen = &bytes[..bytes.len().min(MAX_PART)];
            let len = match &mut self.body {
                Body::Chunked(chunks) => {
                    let Some(len) = step(chunks, seen, &mut self.trailers, &mut data)? else {
                        break;
                    };
                    if chunks.has_ended() {
                        self.body = Body::Done;
                    }
                    len
                }
                _ if data.is_some() => break,
                body => {
                    let len = body.take_unframed(seen.len());
                    if len == 0 {
                        break;
                    }
                    data = Some(Bytes::copy_from_slice(&seen[..len]));
                    len
                }
            };
            self.taken += len as u64;
            self.replay.keep(&seen[..len]);
            self.chunk.consume(len);
        }
        Ok(data)
    }
}

/// Takes what `bytes` begin with: a line of framing, or content if there is no `data` yet. `None` if
/// nothing can be taken.
fn step(
    chunks: &mut Chunks,
    bytes: &[u8],
    trailers: &mut HeaderMap,
    data: &mut Option<Bytes>,
) -> Result<Option<usize>, Refusal> {
    let before = chunks.clone();
    Ok(match chunks.next(bytes)? {
        Piece::Framing(len) => {
            if before.is_in_trailers() {
                note(trailers, &bytes[..len])?;
            }
            Some(len)
        }
        Piece::Data(_) if data.is_some() => {
            *chunks = before;
            None
        }
        Piece::Data(len) => {
            *data = Some(Bytes::copy_from_slice(&bytes[..len]));
            Some(len)
        }
        Piece::Incomplete | Piece::End => None,
    })
}

/// Adds a line of a trailer section, unless it is for the connection alone.
fn note(trailers: &mut HeaderMap, line: &[u8]) -> Result<(), Refusal> {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
        // The empty line at the end.
        return Ok(());
    };
    if may_trail(name) {
        let name = HeaderName::from_bytes(name).map_err(|_| Refusal::Chunk)?;
        let value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| Refusal::Chunk)?;
        trailers.append(name, value);
    }
    Ok(())
}
