/// How many zero bytes are added to each TLS 1.3 record before it is sealed, to hide its length
/// (RFC 8446 section 5.4). TLS 1.2 has no padding and ignores this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// None: records are as long as their plaintext.
    #[default]
    None,
    /// Up to the next multiple of this many bytes, or up to the largest record if that is nearer.
    /// Zero and one mean no padding.
    Multiple(u16),
    /// Every record becomes as large as the record size limit allows.
    Full,
}

impl Padding {
    /// Zero bytes to add to an inner plaintext of `len` bytes (type byte included) when the
    /// largest is `max`.
    pub(crate) fn zeros(self, len: usize, max: usize) -> usize {
        let padded = match self {
            Self::None => len,
            Self::Multiple(n) => len.next_multiple_of(usize::from(n.max(1))),
            Self::Full => max,
        };
        padded.min(max).saturating_sub(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_never_passes_the_largest_record() {
        assert_eq!(Padding::None.zeros(5, 100), 0);
        assert_eq!(Padding::Multiple(0).zeros(5, 100), 0);
        assert_eq!(Padding::Multiple(64).zeros(5, 100), 59);
        assert_eq!(Padding::Multiple(64).zeros(64, 100), 0);
        assert_eq!(Padding::Multiple(64).zeros(65, 100), 35);
        assert_eq!(Padding::Full.zeros(5, 100), 95);
        assert_eq!(Padding::Full.zeros(101, 100), 0);
    }
}
