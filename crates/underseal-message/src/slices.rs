use std::io::IoSlice;

/// Bytes that lie in borrowed slices, one after the other: those of a vectored write, or what was
/// received. A copy of it is a second view of the same bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slices<'a> {
    slices: &'a [IoSlice<'a>],
    /// Bytes of the first slice that are gone.
    skip: usize,
    len: usize,
}

impl<'a> Slices<'a> {
    /// All bytes of `slices`.
    pub fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self {
            slices,
            skip: 0,
            len: slices.iter().map(|slice| slice.len()).sum(),
        }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices, without empty ones.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut skip, mut left) = (self.skip, self.len);
        self.slices
            .iter()
            .map(move |slice| {
                let slice = slice.get(skip..).unwrap_or_default();
                skip = 0;
                let slice = &slice[..slice.len().min(left)];
                left -= slice.len();
                slice
            })
            .filter(|slice| !slice.is_empty())
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn first(self, len: usize) -> Self {
        Self {
            len: self.len.min(len),
            ..self
        }
    }

    /// Leaves the first `len` bytes behind.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.len, "advanced past the end");
        self.len -= len;
        self.skip += len;
        while let Some((first, rest)) = self.slices.split_first()
            && self.skip >= first.len()
        {
            self.skip -= first.len();
            self.slices = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(slices: Slices<'_>) -> Vec<&[u8]> {
        slices.iter().collect()
    }

    #[test]
    fn a_view_starts_and_ends_inside_of_slices() {
        let slices = [&b"abc"[..], b"", b"defg", b"h"].map(IoSlice::new);
        let mut view = Slices::new(&slices);
        assert_eq!(view.len(), 8);
        assert_eq!(collect(view), [&b"abc"[..], b"defg", b"h"]);
        view.advance(1);
        assert_eq!(collect(view.first(4)), [&b"bc"[..], b"de"]);
        view.advance(2);
        assert_eq!(collect(view.first(4)), [&b"defg"[..]]);
        view.advance(5);
        assert!(view.is_empty() && collect(view).is_empty());
    }

    #[test]
    #[should_panic(expected = "advanced past the end")]
    fn a_view_is_not_left_at_its_end() {
        Slices::new(&[IoSlice::new(b"abc")]).advance(4);
    }
}
