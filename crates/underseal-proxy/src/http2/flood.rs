//! What keeps a client from making the proxy work for nothing.
//!
//! Frames that carry no part of a request are cheap to send and not as cheap to read: PING and
//! SETTINGS want an answer each, RST_STREAM throws work away, and empty DATA, PRIORITY or frames
//! that nobody knows do nothing at all. Their number is rationed here, where they come in; `h2`
//! bounds what they can make the proxy hold ([`super::limits`]).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gathered::Gathered;

/// Frames of control: how many in a row, and how many a second in the long run.
const CONTROL: Rate = Rate {
    burst: 1000,
    per_second: 100,
};

/// Streams that a client opens and resets.
const RESETS: Rate = Rate {
    burst: 200,
    per_second: 50,
};

/// Each time that this many bytes were sent, another frame of control may come: a client that reads
/// says so, with WINDOW_UPDATE.
const EARNED_BY: usize = 1024;

/// Each time that a frame of control has this many bytes, it counts as another one.
const COUNTED_BY: u32 = 64;

/// Bytes of the connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// Bytes before a frame's payload.
const HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    per_second: u32,
}

/// What is left of a rate.
#[derive(Debug)]
struct Ration {
    rate: Rate,
    left: u32,
    filled: Instant,
}

impl Ration {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: rate.burst,
            filled: Instant::now(),
        }
    }

    /// Takes some, if there is as much. The clock is looked at only where there is not.
    fn take(&mut self, count: u32) -> bool {
        if self.left < count {
            let earned =
                self.filled.elapsed().as_millis() * u128::from(self.rate.per_second) / 1000;
            if earned > 0 {
                self.filled = Instant::now();
                self.give(u32::try_from(earned).unwrap_or(u32::MAX));
            }
        }
        let enough = self.left >= count;
        self.left = self.left.saturating_sub(count);
        enough
    }

    fn give(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.rate.burst);
    }
}

/// The headers of frames in a stream of bytes.
#[derive(Debug)]
struct Frames {
    /// Bytes to pass over before the next header.
    skip: usize,
    header: [u8; HEADER],
    /// How many bytes of it are there.
    seen: usize,
}

/// The header of a frame (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
}

impl Frames {
    /// Of a client, whose first bytes are the preface.
    fn of_client() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            seen: 0,
        }
    }

    /// Takes bytes off `rest` until a header is whole; `None` if none becomes so.
    fn next(&mut self, rest: &mut &[u8]) -> Option<Frame> {
        let skipped = self.skip.min(rest.len());
        self.skip -= skipped;
        *rest = &rest[skipped..];
        let taken = (HEADER - self.seen).min(rest.len());
        self.header[self.seen..self.seen + taken].copy_from_slice(&rest[..taken]);
        self.seen += taken;
        *rest = &rest[taken..];
        if self.seen < HEADER {
            return None;
        }
        self.seen = 0;
        let [a, b, c, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = length as usize;
        Some(Frame {
            length,
            kind,
            flags,
        })
    }
}

/// Whether a client has sent more than its rations.
#[derive(Clone, Debug, Default)]
pub(super) struct Flooded(Rc<Cell<bool>>);

impl Flooded {
    pub(super) fn is_so(&self) -> bool {
        self.0.get()
    }
}

/// The stream of a client, with an eye on its frames. Once it has sent more than its rations,
/// nothing more is read.
pub(super) struct Guarded {
    stream: Gathered,
    frames: Frames,
    control: Ration,
    resets: Ration,
    /// Bytes sent that have earned nothing yet.
    sent: usize,
    flooded: Flooded,
}

impl Guarded {
    pub(super) fn new(stream: Gathered, flooded: Flooded) -> Self {
        Self {
            stream,
            frames: Frames::of_client(),
            control: Ration::new(CONTROL),
            resets: Ration::new(RESETS),
            sent: 0,
            flooded,
        }
    }

    /// Looks at bytes that have come, and says whether they are within the rations.
    fn allows(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(frame) = self.frames.next(&mut bytes) {
            let allowed = match frame.kind {
                HEADERS => true,
                DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => true,
                // `h2` bounds how many a head has and how long it is.
                CONTINUATION => self.control.take(1),
                RST_STREAM => self.resets.take(1),
                _ => self.control.take(1 + frame.length / COUNTED_BY),
            };
            if !allowed {
                return false;
            }
        }
        true
    }

    fn note_sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent += bytes;
            let earned = self.sent / EARNED_BY;
            self.sent %= EARNED_BY;
            self.control.give(u32::try_from(earned).unwrap_or(u32::MAX));
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.flooded.is_so() {
            // Whoever polls looks at `flooded` next.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if !this.allows(&buf.filled()[before..]) {
            this.flooded.0.set(true);
            buf.set_filled(before);
            return Poll::Pending;
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Vec<u8> {
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
        bytes.resize(HEADER + length as usize, 0xee);
        bytes
    }

    #[test]
    fn a_ration_ends_and_is_filled_by_time_and_work() {
        let mut ration = Ration::new(RESETS);
        assert!((0..RESETS.burst).all(|_| ration.take(1)));
        assert!(!ration.take(1));
        ration.give(2);
        assert!(ration.take(2) && !ration.take(1));
        ration.filled = Instant::now() - Duration::from_secs(1);
        assert!(ration.take(RESETS.per_second));
        ration.give(u32::MAX);
        assert_eq!(ration.left, RESETS.burst);
    }

    proptest! {
        #[test]
        fn headers_are_found_wherever_bytes_are_split(
            frames in proptest::collection::vec((any::<u8>(), any::<u8>(), 0..40_u32), 0..12),
            cut in 1..30_usize,
        ) {
            let mut bytes = vec![b'P'; PREFACE];
            for (kind, flags, length) in &frames {
                bytes.extend_from_slice(&frame(*kind, *flags, *length));
            }
            let mut found = Vec::new();
            let mut reader = Frames::of_client();
            for mut piece in bytes.chunks(cut) {
                while let Some(frame) = reader.next(&mut piece) {
                    found.push((frame.kind, frame.flags, frame.length));
                }
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(found, frames);
        }
    }
}
