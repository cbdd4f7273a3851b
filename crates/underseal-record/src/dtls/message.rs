//! The header of a handshake message in a record: RFC 9147 section 5.2.

use core::ops::Range;

/// Bytes of a header.
const HEADER_LEN: usize = 12;

/// A fragment of a handshake message, which may be the whole of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) message_type: u8,
    /// Bytes of the message.
    pub(super) message_len: usize,
    pub(super) seq: u16,
    /// Where in the message the fragment starts.
    offset: usize,
    pub(super) body: &'a [u8],
}

/// The types and numbers of the handshake messages that the body of a record has fragments of, up to the first
/// that is incomplete: what another library sent and received before a hand-over is followed with it.
pub fn messages(body: &[u8]) -> impl Iterator<Item = (u8, u16)> + '_ {
    fragments(body).map(|fragment| (fragment.message_type, fragment.seq))
}

/// The numbers of the same messages, and which bytes of each the record has.
pub fn message_parts(body: &[u8]) -> impl Iterator<Item = (u16, Range<usize>)> + '_ {
    fragments(body).map(|fragment| (fragment.seq, fragment.offset..fragment.end()))
}

fn fragments(mut rest: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    core::iter::from_fn(move || {
        let (fragment, after) = Fragment::first(rest)?;
        rest = after;
        Some(fragment)
    })
}

impl<'a> Fragment<'a> {
    /// The first fragment of a record's body, and what is behind it; `None` where it is not whole, or
    /// longer than its message.
    pub(super) fn first(body: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = body.split_first_chunk::<HEADER_LEN>()?;
        let [message_type, a, b, c, high, low, d, e, f, g, h, i] = *header;
        let len = |high, mid, low| u32::from_be_bytes([0, high, mid, low]) as usize;
        let (message_len, offset, fragment_len) = (len(a, b, c), len(d, e, f), len(g, h, i));
        let (body, after) = rest.split_at_checked(fragment_len)?;
        let fragment = Self {
            message_type,
            message_len,
            seq: u16::from_be_bytes([high, low]),
            offset,
            body,
        };
        (fragment.end() <= message_len).then_some((fragment, after))
    }

    /// The body of a message that came whole.
    pub(super) fn whole(&self) -> Option<&'a [u8]> {
        (self.body.len() == self.message_len).then_some(self.body)
    }

    /// How many bytes of its message have come with this fragment, where `begun` had before; `None` where
    /// there is a gap.
    pub(super) fn continues(&self, begun: usize) -> Option<usize> {
        (self.offset <= begun).then_some(begun.max(self.end()))
    }

    fn end(&self) -> usize {
        self.offset + self.body.len()
    }
}
