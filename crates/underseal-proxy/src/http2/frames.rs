//! The headers of frames in a stream of bytes.

/// Bytes of the connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// Bytes before a frame's payload.
pub(super) const HEADER: usize = 9;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const CONTINUATION: u8 = 0x9;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;

/// Finds the headers of frames in bytes as they come.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over before the next header.
    skip: usize,
    header: [u8; HEADER],
    /// How many bytes of it are there.
    seen: usize,
}

/// The header of a frame (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frames {
    /// Of a client, whose first bytes are the preface.
    pub(super) fn of_client() -> Self {
        Self {
            skip: PREFACE,
            ..Self::of_server()
        }
    }

    pub(super) fn of_server() -> Self {
        Self {
            skip: 0,
            header: [0; HEADER],
            seen: 0,
        }
    }

    /// How many bytes there are of a header that is not whole.
    pub(super) fn begun(&self) -> usize {
        self.seen
    }

    /// Those bytes, if there are any: they come once more.
    pub(super) fn take_begun(&mut self) -> Option<Vec<u8>> {
        let seen = std::mem::take(&mut self.seen);
        (seen > 0).then(|| self.header[..seen].to_vec())
    }

    /// Takes bytes off `rest` until a header is whole; `None` if none becomes so.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Frame> {
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
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = length as usize;
        Some(Frame {
            length,
            kind,
            flags,
            // The first bit is nobody's.
            stream: u32::from_be_bytes(stream) & !(1 << 31),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(frame: &Frame) -> Vec<u8> {
        let mut bytes = frame.length.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[frame.kind, frame.flags]);
        bytes.extend_from_slice(&frame.stream.to_be_bytes());
        bytes.resize(HEADER + frame.length as usize, 0xee);
        bytes
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let parts = (any::<u8>(), any::<u8>(), 0..40_u32, 0..1_u32 << 31);
        parts.prop_map(|(kind, flags, length, stream)| Frame {
            length,
            kind,
            flags,
            stream,
        })
    }

    proptest! {
        #[test]
        fn headers_are_found_wherever_bytes_are_split(
            frames in proptest::collection::vec(frame(), 0..12),
            cut in 1..30_usize,
        ) {
            let mut sent = vec![b'P'; PREFACE];
            sent.extend(frames.iter().flat_map(bytes));
            let mut found = Vec::new();
            let mut reader = Frames::of_client();
            for mut piece in sent.chunks(cut) {
                found.extend(std::iter::from_fn(|| reader.next(&mut piece)));
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(found, frames);
        }
    }
}
