//! Values of a head's fields, for whom keeps them beyond the buffer that the head was read into.

use bytes::Bytes;

/// One copy of a head, which its values share: a copy of each would be an allocation of its own.
pub(crate) struct Values<'h> {
    head: &'h [u8],
    copy: Bytes,
}

impl<'h> Values<'h> {
    pub(crate) fn of(head: &'h [u8]) -> Self {
        Self {
            head,
            copy: Bytes::copy_from_slice(head),
        }
    }

    /// The bytes of `value`, which stands in the head. What does not is copied.
    pub(crate) fn share(&self, value: &[u8]) -> Bytes {
        let from = value
            .first()
            .and_then(|first| self.head.element_offset(first));
        let shared = from.map(|from| from..from + value.len());
        match shared.filter(|shared| shared.end <= self.copy.len()) {
            Some(shared) => self.copy.slice(shared),
            None => Bytes::copy_from_slice(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_stands_in_the_head_and_share_it() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let values = Values::of(&head[..23]);
        assert_eq!(values.share(&head[22..23]), b"a"[..]);
        assert_eq!(values.share(&head[..3]).as_ptr(), values.copy.as_ptr());
        // Neither what begins there and goes on behind it, nor what is elsewhere, nor nothing.
        assert_eq!(values.share(&head[22..25]), b"a\r\n"[..]);
        assert_eq!(values.share(b"elsewhere"), b"elsewhere"[..]);
        assert_eq!(values.share(b""), b""[..]);
    }
}
