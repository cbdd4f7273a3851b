//! A sorted list of texts that finds all of them that a text begins with.

use std::cmp::Ordering;

use super::bits::Postings;

#[derive(Clone, Debug, Default)]
struct Entry {
    text: Box<[u8]>,
    /// The longest other entry that this one begins with.
    parent: Option<u32>,
    /// Rules that ask for this text.
    exact: Postings,
    /// Rules that ask for what begins with it.
    prefix: Postings,
}

/// Texts and the rules behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefixes {
    entries: Vec<Entry>,
}

impl Prefixes {
    /// Adds rule `id` behind `text`. Not to be looked up before [`Self::finish`].
    pub(crate) fn add(&mut self, text: &[u8], exact: bool, id: usize) {
        let place = self
            .entries
            .binary_search_by(|entry| (*entry.text).cmp(text));
        let index = place.unwrap_or_else(|index| {
            let entry = Entry {
                text: text.into(),
                ..Entry::default()
            };
            self.entries.insert(index, entry);
            index
        });
        let entry = &mut self.entries[index];
        let postings = if exact {
            &mut entry.exact
        } else {
            &mut entry.prefix
        };
        postings.insert(id);
    }

    /// Links each entry to the one that it begins with.
    pub(crate) fn finish(&mut self) {
        let mut open: Vec<u32> = Vec::new();
        for index in 0..self.entries.len() {
            let text = &self.entries[index].text;
            while open
                .last()
                .is_some_and(|last| !text.starts_with(&self.entries[*last as usize].text))
            {
                open.pop();
            }
            let parent = open.last().copied();
            self.entries[index].parent = parent;
            // There are at most as many entries as patterns, and their text is in memory.
            open.push(index as u32);
        }
    }

    /// Calls `found` for all that `text` is or begins with. The last entry that is not greater
    /// begins with every such entry: what stands between a prefix and its text begins with it too.
    pub(crate) fn each(&self, text: impl Text, mut found: impl FnMut(&Postings)) {
        let not_greater = self
            .entries
            .partition_point(|entry| text.compare(&entry.text) != Ordering::Less);
        let mut next = not_greater.checked_sub(1);
        while let Some(index) = next {
            let entry = &self.entries[index];
            if text.begins_with(&entry.text) {
                found(&entry.prefix);
                if entry.text.len() == text.len() {
                    found(&entry.exact);
                }
            }
            next = entry.parent.map(|parent| parent as usize);
        }
    }
}

/// A text that is looked up.
pub(crate) trait Text: Copy {
    fn len(self) -> usize;
    fn compare(self, other: &[u8]) -> Ordering;
    fn begins_with(self, prefix: &[u8]) -> bool;
}

impl Text for &[u8] {
    fn len(self) -> usize {
        <[u8]>::len(self)
    }

    fn compare(self, other: &[u8]) -> Ordering {
        self.cmp(other)
    }

    fn begins_with(self, prefix: &[u8]) -> bool {
        self.starts_with(prefix)
    }
}

/// A text that is read from its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backward<'a>(pub(crate) &'a [u8]);

impl Text for Backward<'_> {
    fn len(self) -> usize {
        self.0.len()
    }

    fn compare(self, other: &[u8]) -> Ordering {
        self.0.iter().rev().cmp(other)
    }

    fn begins_with(self, prefix: &[u8]) -> bool {
        prefix.len() <= self.0.len() && self.0.iter().rev().zip(prefix).all(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::Bits;
    use super::*;

    #[test]
    fn every_prefix_is_found_and_nothing_else() {
        let texts = ["", "/", "/a", "/a/", "/a/b", "/ab", "/b", "/b/c/d"];
        let mut prefixes = Prefixes::default();
        for (id, text) in texts.iter().enumerate() {
            prefixes.add(text.as_bytes(), id % 2 == 1, id);
        }
        prefixes.finish();
        for text in [
            "", "/", "/a", "/a/", "/a/b", "/a/bc", "/abc", "/b/c", "/b/c/d", "x", "!",
        ] {
            let (mut found, mut backward) = (Bits::default(), Bits::default());
            prefixes.each(text.as_bytes(), |postings| postings.add_to(&mut found));
            let reversed: Vec<u8> = text.bytes().rev().collect();
            prefixes.each(Backward(&reversed), |postings| {
                postings.add_to(&mut backward);
            });
            assert_eq!(found, backward, "{text}");
            let expected = texts.iter().enumerate().filter(|(id, prefix)| {
                text.starts_with(**prefix) && (id % 2 == 0 || text == **prefix)
            });
            let expected: Vec<_> = expected.map(|(id, _)| id).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
