//! Bodies that go out in HTTP/1.1, put into its framing.

use std::io::{self, Write as _};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use underseal_http::fields::{listed, may_trail};

use super::{MAX_TRAILERS, Part, Parts, check_trailers};
use crate::chunk::Chunk;
use crate::flow::{Broken, Origin};
use crate::policy::Guard;
use crate::stream::Stream;

/// Bytes that are gathered before they are written: what waits of them gives a lent buffer back.
const GATHERED: usize = 32 * 1024;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// This many bytes are still to come.
    Length(u64),
    Chunks,
    /// By the end of the connection.
    Close,
}

/// Puts a body into its framing.
pub(crate) struct Framer {
    told: Told,
    /// What came and does not stand in the framing yet.
    pending: Bytes,
    has_ended: bool,
    /// Bytes of content that came.
    pub(crate) content: u64,
    /// The trailers that the head announced: the others do not pass.
    announced: Vec<Box<[u8]>>,
    guard: Option<Guard>,
}

/// A body that is put into its framing.
pub(crate) struct Framing<'a, P> {
    pub(crate) framer: &'a mut Framer,
    pub(crate) parts: &'a mut P,
}

impl<P: Parts> Origin for Framing<'_, P> {
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Chunk,
    ) -> Poll<Result<usize, Broken>> {
        self.framer.poll_fill(cx, self.parts, chunk)
    }

    fn fill_now(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Result<(), Broken> {
        match self.poll_fill(cx, chunk) {
            Poll::Ready(filled) => filled.map(drop),
            Poll::Pending => Ok(()),
        }
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        None
    }

    fn hold(&mut self, cx: &mut Context<'_>) {
        self.parts.hold(cx);
    }
}

impl Framer {
    /// For a body of this many bytes.
    pub(crate) fn of_length(length: u64) -> Self {
        Self::new(Told::Length(length))
    }

    /// For a body in chunks; `announced` are the values of Trailer fields.
    pub(crate) fn in_chunks<'a>(announced: impl Iterator<Item = &'a [u8]>) -> Self {
        let announced = announced.flat_map(listed).take(MAX_TRAILERS);
        Self {
            announced: announced.map(Box::from).collect(),
            ..Self::new(Told::Chunks)
        }
    }

    /// For a body that ends with its connection.
    pub(crate) fn until_close() -> Self {
        Self::new(Told::Close)
    }

    fn new(told: Told) -> Self {
        Self {
            told,
            pending: Bytes::new(),
            has_ended: false,
            content: 0,
            announced: Vec::new(),
            guard: None,
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn ends_by_closing(&self) -> bool {
        self.told == Told::Close
    }

    /// The same, for a client's body: its trailers are looked at.
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Adds to `chunk` what comes of `parts`; zero bytes are their end.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        parts: &mut impl Parts,
        chunk: &mut Chunk,
    ) -> Poll<Result<usize, Broken>> {
        let before = chunk.bytes().len();
        while chunk.bytes().len() < GATHERED {
            if !self.pending.is_empty() {
                self.put(chunk);
                continue;
            }
            if self.has_ended {
                break;
            }
            match parts.poll_part(cx) {
                Poll::Ready(Some(part)) => self.take(part?, chunk)?,
                Poll::Ready(None) => self.end(&HeaderMap::new(), chunk)?,
                Poll::Pending => break,
            }
        }
        match chunk.bytes().len() - before {
            0 if !self.has_ended => Poll::Pending,
            added => Poll::Ready(Ok(added)),
        }
    }

    fn take(&mut self, part: Part, chunk: &mut Chunk) -> Result<(), Broken> {
        let data = match part {
            Part::Data(data) => data,
            Part::Trailers(trailers) => {
                check_trailers(&trailers, self.guard.as_ref())?;
                return self.end(&trailers, chunk);
            }
        };
        let len = data.len() as u64;
        self.content += len;
        if let Told::Length(left) = &mut self.told {
            *left = left.checked_sub(len).ok_or_else(|| not_as_told("more"))?;
        }
        self.pending = data;
        Ok(())
    }

    /// Puts down as much of what is pending as is gathered at once.
    fn put(&mut self, chunk: &mut Chunk) {
        let room = GATHERED.saturating_sub(chunk.bytes().len());
        let data = self.pending.split_to(room.min(self.pending.len()));
        if self.told == Told::Chunks {
            let mut line = [0; 18];
            let mut rest = &mut line[..];
            // Sixteen digits at the most, and the end of the line.
            let _ = write!(rest, "{:x}\r\n", data.len());
            let len = 18 - rest.len();
            chunk.append(&line[..len]);
        }
        chunk.append(&data);
        if self.told == Told::Chunks {
            chunk.append(b"\r\n");
        }
    }

    fn end(&mut self, trailers: &HeaderMap, chunk: &mut Chunk) -> Result<(), Broken> {
        self.has_ended = true;
        match self.told {
            Told::Length(0) | Told::Close => return Ok(()),
            Told::Length(_) => return Err(not_as_told("less")),
            Told::Chunks => {}
        }
        let mut text = b"0\r\n".to_vec();
        for (name, value) in trailers {
            let name = name.as_str().as_bytes();
            let is_announced = |known: &[u8]| known.eq_ignore_ascii_case(name);
            if may_trail(name) && self.announced.iter().any(|known| is_announced(known)) {
                text.extend_from_slice(name);
                text.extend_from_slice(b": ");
                text.extend_from_slice(value.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
        }
        text.extend_from_slice(b"\r\n");
        match chunk.append(&text) == text.len() {
            true => Ok(()),
            false => Err(Broken::Source(io::ErrorKind::OutOfMemory.into())),
        }
    }
}

fn not_as_told(what: &str) -> Broken {
    Broken::Source(io::Error::other(format!("{what} of it than was announced")))
}
