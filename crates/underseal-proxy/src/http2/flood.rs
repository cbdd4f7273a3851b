//! What keeps a client from making the proxy work for nothing.
//!
//! Frames that carry no part of a request are cheap to send and not as cheap to read: PING and
//! SETTINGS want an answer each, RST_STREAM throws work away, and empty DATA, PRIORITY or frames
//! that nobody knows do nothing at all. Their number is rationed here, where they come in; `h2`
//! bounds what they can make the proxy hold ([`super::limits`]).

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{CONTINUATION, DATA, Frames, HEADERS, RST_STREAM};
use super::gathered::Gathered;
use super::unseen::Unseen;

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

/// The ration of streams that come to nothing by what their client does. It resets them, or we do for what it
/// sends behind a head that is with a backend already.
#[derive(Clone, Debug)]
pub(super) struct Resets {
    ration: Rc<RefCell<Ration>>,
    flooded: Flooded,
}

impl Resets {
    pub(super) fn new(flooded: Flooded) -> Self {
        Self {
            ration: Rc::new(RefCell::new(Ration::new(RESETS))),
            flooded,
        }
    }

    fn take(&self) -> bool {
        self.ration.borrow_mut().take(1)
    }

    /// Counts a stream that we reset. The connection ends if it was one too many, once its task looks again.
    pub(super) fn count(&self) {
        if !self.take() {
            self.flooded.0.set(true);
        }
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
    /// Those that are sent.
    answers: Frames,
    unseen: Unseen,
    control: Ration,
    resets: Resets,
    /// Bytes sent that have earned nothing yet.
    sent: usize,
    flooded: Flooded,
}

impl Guarded {
    pub(super) fn new(stream: Gathered, resets: Resets, unseen: Unseen) -> Self {
        Self {
            stream,
            frames: Frames::of_client(),
            answers: Frames::of_server(),
            unseen,
            control: Ration::new(CONTROL),
            flooded: resets.flooded.clone(),
            resets,
            sent: 0,
        }
    }

    /// Looks at bytes that have come, and says whether they are within the rations.
    fn allows(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(frame) = self.frames.next(&mut bytes) {
            self.unseen.received(&frame);
            let allowed = match frame.kind {
                // Those that say nothing are counted where they are left out.
                HEADERS | DATA => true,
                // `h2` bounds how many a head has and how long it is.
                CONTINUATION => self.control.take(1),
                RST_STREAM => self.resets.take(),
                _ => self.control.take(1 + frame.length / COUNTED_BY),
            };
            if !allowed {
                return false;
            }
        }
        true
    }

    fn note_sent(&mut self, written: &Poll<io::Result<usize>>, bufs: &[IoSlice<'_>]) {
        let Poll::Ready(Ok(bytes)) = *written else {
            return;
        };
        self.sent += bytes;
        let earned = self.sent / EARNED_BY;
        self.sent %= EARNED_BY;
        self.control.give(u32::try_from(earned).unwrap_or(u32::MAX));
        let mut left = bytes;
        for buf in bufs {
            let mut taken = &buf[..left.min(buf.len())];
            left -= taken.len();
            while let Some(frame) = self.answers.next(&mut taken) {
                self.unseen.sent(&frame);
            }
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
        let empty = this.stream.take_empty();
        if !this.control.take(empty) || !this.allows(&buf.filled()[before..]) {
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
        this.note_sent(&written, &[IoSlice::new(buf)]);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_sent(&written, bufs);
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

    use super::*;

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
}
