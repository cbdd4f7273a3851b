use crate::dtls::Discard;

/// Which records of an epoch were opened, as far back as the window reaches.
///
/// A ring of words that is indexed, not shifted (RFC 6479), so that a jump costs at most one
/// look at each word. The word that is being left and the one being entered share no bit: one word
/// more than the window is long. `WORDS` of 33 makes 2048 records; RFC 6347 asks for 32 at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow<const WORDS: usize = 33> {
    /// One more than the highest number committed; zero before the first.
    next: u64,
    bits: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// How many numbers below the highest are still told apart, itself included.
    pub const SIZE: u64 = (WORDS as u64 - 1) * 64;

    /// One more than the highest number committed: zero before the first.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether a record of number `seq` may still be opened. Changes nothing: what was not
    /// authenticated yet must leave no trace.
    ///
    /// # Errors
    ///
    /// [`Discard::Replayed`] or [`Discard::TooOld`].
    #[inline]
    pub fn check(&self, seq: u64) -> Result<(), Discard> {
        if seq >= self.next {
            return Ok(());
        }
        if self.next - seq > Self::SIZE {
            return Err(Discard::TooOld);
        }
        match self.bits[Self::index(seq / 64)] & Self::bit(seq) {
            0 => Ok(()),
            _ => Err(Discard::Replayed),
        }
    }

    /// Notes that the record of number `seq` was authentic; every later [`check`](Self::check) of
    /// it fails. A number below the window changes nothing, nor does `u64::MAX`, which no protocol has.
    #[inline]
    pub fn commit(&mut self, seq: u64) {
        if seq >= self.next {
            let Some(next) = seq.checked_add(1) else {
                return;
            };
            self.enter(seq / 64);
            self.next = next;
        } else if self.next - seq > Self::SIZE {
            return;
        }
        self.bits[Self::index(seq / 64)] |= Self::bit(seq);
    }

    /// Empties the words from behind the highest to `word`.
    #[inline]
    fn enter(&mut self, word: u64) {
        let left = match self.next.checked_sub(1) {
            Some(highest) => highest / 64 + 1,
            // All are empty.
            None => return,
        };
        let first = left.max((word + 1).saturating_sub(WORDS as u64));
        for word in first..=word {
            self.bits[Self::index(word)] = 0;
        }
    }

    #[inline]
    fn index(word: u64) -> usize {
        (word % WORDS as u64) as usize
    }

    #[inline]
    fn bit(seq: u64) -> u64 {
        1 << (seq % 64)
    }
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    /// No record was opened.
    fn default() -> Self {
        const {
            assert!(
                WORDS >= 2,
                "a window has a word beside the one being entered"
            );
        };
        Self {
            next: 0,
            bits: [0; WORDS],
        }
    }
}
