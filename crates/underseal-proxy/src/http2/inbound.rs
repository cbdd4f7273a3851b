//! What comes in, without frames of DATA that are empty and end nothing.
//!
//! The library ends a connection with the hundredth and first of them, however long it lasts; they have no
//! meaning (RFC 9113 section 6.1), so that it need not see them. And it is given no more short frames in a
//! turn than it is to hold: each takes some hundred bytes beside its own until somebody has taken it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADER, HEADERS, PADDED,
};

/// Frames of DATA with fewer bytes are short.
const SHORT: u32 = 1024;

/// Short ones that come in a turn, before those who take them have theirs.
const TURN: usize = 1024;

/// The frames that come in.
pub(super) struct Inbound {
    frames: Frames,
    /// Whether a list of fields goes on.
    in_head: bool,
    /// What comes next, before what is read.
    next: Bytes,
    /// Short frames of this turn.
    short: usize,
    /// Frames that were left out, and nobody has asked about yet.
    empty: u32,
}

impl Inbound {
    pub(super) fn new(frames: Frames) -> Self {
        Self {
            frames,
            in_head: false,
            next: Bytes::new(),
            short: 0,
            empty: 0,
        }
    }

    /// How many frames were left out since the last call.
    pub(super) fn take_empty(&mut self) -> u32 {
        std::mem::take(&mut self.empty)
    }

    /// As `stream` does it.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncRead>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.next.is_empty() {
                let len = self.next.len().min(buf.remaining());
                buf.put_slice(&self.next[..len]);
                self.next.advance(len);
                return Poll::Ready(Ok(()));
            }
            if self.short >= TURN {
                self.short = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            ready!(stream.as_mut().poll_read(cx, buf))?;
            let came = &buf.filled()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.strain(came) {
                None => return Poll::Ready(Ok(())),
                Some(left) => {
                    buf.set_filled(before);
                    self.next = left.into();
                }
            }
        }
    }

    /// What is left of bytes that came, a header that is not whole kept back; `None` if all of them are.
    fn strain(&mut self, came: &[u8]) -> Option<Vec<u8>> {
        let joined = self.frames.take_begun().map(|mut begun| {
            begun.extend_from_slice(came);
            begun
        });
        let bytes = joined.as_deref().unwrap_or(came);
        let (mut left, mut from) = (Vec::new(), 0);
        let mut rest = bytes;
        while let Some(frame) = self.frames.next(&mut rest) {
            if self.is_empty(&frame) {
                let end = bytes.len() - rest.len();
                left.extend_from_slice(&bytes[from..end - HEADER]);
                from = end;
                self.empty = self.empty.saturating_add(1);
            }
        }
        let end = bytes.len() - self.frames.begun();
        if joined.is_none() && from == 0 && end == bytes.len() {
            return None;
        }
        left.extend_from_slice(&bytes[from..end]);
        Some(left)
    }

    /// Whether a frame says nothing. Where it must not stand, the library says so.
    fn is_empty(&mut self, frame: &Frame) -> bool {
        match frame.kind {
            HEADERS | CONTINUATION => self.in_head = frame.flags & END_HEADERS == 0,
            DATA if frame.length < SHORT => self.short += 1,
            _ => {}
        }
        frame.kind == DATA
            && frame.length == 0
            && frame.flags & (END_STREAM | PADDED) == 0
            && frame.stream != 0
            && !self.in_head
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        bytes.extend_from_slice(payload);
        bytes
    }

    /// What is read in pieces of `cut` bytes, into a buffer that is as short.
    fn read(sent: &[u8], cut: usize) -> (Vec<u8>, u32) {
        let mut inbound = Inbound::new(Frames::of_server());
        let mut cx = Context::from_waker(Waker::noop());
        let mut came = Vec::new();
        for mut piece in sent.chunks(cut) {
            while !piece.is_empty() || !inbound.next.is_empty() {
                let mut room = vec![0; cut];
                let mut buf = ReadBuf::new(&mut room);
                let polled = inbound.poll_read(&mut cx, Pin::new(&mut piece), &mut buf);
                if let Poll::Ready(read) = polled {
                    read.expect("bytes");
                }
                came.extend_from_slice(buf.filled());
            }
        }
        (came, inbound.take_empty())
    }

    #[test]
    fn empty_frames_are_left_out_wherever_bytes_are_split() {
        let empty = frame(DATA, 0, 1, b"");
        let data = frame(DATA, 0, 1, b"hello");
        let last = frame(DATA, END_STREAM, 1, b"");
        let head = frame(HEADERS, 0, 1, b"head");
        let more = frame(CONTINUATION, END_HEADERS, 1, b"more");
        let padded = frame(DATA, PADDED, 1, b"");
        let of_nobody = frame(DATA, 0, 0, b"");
        let joined = |frames: &[&Vec<u8>]| {
            let frames = frames.iter().map(|frame| &***frame);
            frames.collect::<Vec<_>>().concat()
        };
        let sent = joined(&[
            &empty, &data, &empty, &empty, &head, &empty, &more, &empty, &padded, &of_nobody, &last,
        ]);
        let left = joined(&[&data, &head, &empty, &more, &padded, &of_nobody, &last]);
        for cut in 1..=sent.len() {
            assert_eq!(read(&sent, cut), (left.clone(), 4), "{cut}");
        }
    }

    #[test]
    fn those_who_take_short_frames_have_their_turn() {
        let sent = frame(DATA, 0, 1, b"x").repeat(2 * TURN);
        let mut inbound = Inbound::new(Frames::of_server());
        let mut cx = Context::from_waker(Waker::noop());
        let mut rest = &sent[..];
        let mut turns = 0;
        while !rest.is_empty() {
            let mut room = [0; 4096];
            let mut buf = ReadBuf::new(&mut room);
            let polled = inbound.poll_read(&mut cx, Pin::new(&mut rest), &mut buf);
            turns += usize::from(polled.is_pending());
        }
        assert_eq!(turns, 1);
    }
}
