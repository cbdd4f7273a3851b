//! Sets of rules.

/// How many rules a set can hold.
pub(crate) const BLOCK: usize = 1024;

const WORDS: usize = BLOCK / 64;

/// A set of rules, by their place in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits([u64; WORDS]);

impl Bits {
    /// All that a set can hold.
    pub(crate) const FULL: Self = Self([u64::MAX; WORDS]);

    /// The first `count`.
    pub(crate) fn first(count: usize) -> Self {
        let mut bits = Self::default();
        (0..count).for_each(|id| bits.insert(id));
        bits
    }

    pub(crate) fn insert(&mut self, id: usize) {
        self.0[id / 64] |= 1 << (id % 64);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    pub(crate) fn keep(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
    }

    pub(crate) fn remove(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
    }

    /// Whether there is one in it at most.
    pub(crate) fn is_one_at_most(&self) -> bool {
        let mut words = self.0.iter().filter(|word| **word != 0);
        let is_one = words.next().is_none_or(|word| word.is_power_of_two());
        is_one && words.next().is_none()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

/// The rules behind one pattern: a list while it is short.
#[derive(Clone, Debug)]
pub(crate) enum Postings {
    Few(Vec<u16>),
    Many(Box<Bits>),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Postings {
    /// From this many on a whole set is quicker to add than a list.
    const FEW: usize = 16;

    /// `id` is less than [`BLOCK`].
    pub(crate) fn insert(&mut self, id: usize) {
        match self {
            Self::Few(ids) if ids.len() < Self::FEW => ids.push(id as u16),
            Self::Few(ids) => {
                let mut bits = Bits::default();
                ids.iter().for_each(|id| bits.insert(usize::from(*id)));
                bits.insert(id);
                *self = Self::Many(Box::new(bits));
            }
            Self::Many(bits) => bits.insert(id),
        }
    }

    pub(crate) fn add_to(&self, set: &mut Bits) {
        match self {
            Self::Few(ids) => ids.iter().for_each(|id| set.insert(usize::from(*id))),
            Self::Many(bits) => set.add(bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_what_was_put_into_it_in_order() {
        let mut bits = Bits::default();
        assert!(bits.is_one_at_most());
        for (before, id) in [1023, 0, 63, 64, 700].into_iter().enumerate() {
            bits.insert(id);
            assert_eq!(bits.is_one_at_most(), before == 0);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 700, 1023]);
        bits.keep(&Bits::first(64));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63]);
        bits.remove(&Bits::first(63));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [63]);
    }

    #[test]
    fn a_list_that_grows_loses_nothing() {
        let mut postings = Postings::default();
        (0..40).for_each(|id| postings.insert(id * 3));
        let mut set = Bits::default();
        postings.add_to(&mut set);
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            (0..40).map(|id| id * 3).collect::<Vec<_>>()
        );
    }
}
