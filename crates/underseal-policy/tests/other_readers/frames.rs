//! The frames of HTTP/2, found by `StreamParser` and then looked into.

use underseal_message::{Boundary, Http2, StreamParser};

/// A frame (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

/// Kinds of frames (RFC 9113 section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let (header, payload) = bytes
            .split_first_chunk::<9>()
            .expect("a frame has a header");
        let [a, b, c, kind, flags, stream @ ..] = *header;
        let length = u32::from_be_bytes([0, a, b, c]);
        assert_eq!(payload.len(), length as usize, "a boundary that is none");
        Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            payload,
        }
    }

    /// Whether its sender sends nothing more on its stream.
    pub(crate) fn ends_stream(&self) -> bool {
        [DATA, HEADERS].contains(&self.kind) && self.flags & END_STREAM != 0
    }

    /// The content of a DATA frame without its padding; nothing if there is more padding than frame.
    pub(crate) fn content(&self) -> Option<&'a [u8]> {
        if self.flags & PADDED == 0 {
            return Some(self.payload);
        }
        let (padding, rest) = self.payload.split_first()?;
        rest.get(..rest.len().checked_sub(usize::from(*padding))?)
    }
}

/// How a stream of frames goes on behind those that are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Between,
    WithinFrame,
    Refused,
}

/// The frames that one side sent, by our boundaries; a client's preface is left out.
pub(crate) fn split(parser: Http2, bytes: &[u8], has_preface: bool) -> (Vec<Frame<'_>>, End) {
    let mut parser = StreamParser::new(parser, 9 + u64::from(Http2::DEFAULT_MAX_FRAME_SIZE));
    let mut messages = Vec::new();
    let mut rest = bytes;
    let end = loop {
        match parser.next(rest) {
            Ok(Boundary::Ends(len)) => {
                let (message, after) = rest.split_at(len);
                messages.push(message);
                rest = after;
            }
            Ok(_) if parser.finish().is_ok() => break End::Between,
            Ok(_) => break End::WithinFrame,
            Err(_) => break End::Refused,
        }
    };
    let frames = messages.iter().skip(usize::from(has_preface));
    (frames.map(|message| Frame::read(message)).collect(), end)
}

/// Appends a frame.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}
