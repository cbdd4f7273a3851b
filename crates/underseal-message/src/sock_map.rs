use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// What [`SockMap::update`] and [`SockHash::update`] do about an entry that is there or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's three")]
pub enum Update {
    /// Write it, whatever was there.
    #[doc(alias = "BPF_ANY")]
    Any,
    /// Write it only where nothing was.
    #[doc(alias = "BPF_NOEXIST")]
    NoExist,
    /// Write it only in the place of another.
    #[doc(alias = "BPF_EXIST")]
    Exist,
}

/// Why a map was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The index is not one of the map, or the map is full (E2BIG).
    #[error("the map has no room for that key")]
    TooBig,
    /// There is an entry, and [`Update::NoExist`] was asked for (EEXIST).
    #[error("the key is taken")]
    Exists,
    /// There is no entry to replace (ENOENT).
    #[error("there is no such key")]
    Missing,
}

impl Update {
    fn check(self, is_there: bool) -> Result<(), MapError> {
        match (self, is_there) {
            (Self::NoExist, true) => Err(MapError::Exists),
            (Self::Exist, false) => Err(MapError::Missing),
            _ => Ok(()),
        }
    }
}

/// Sockets by index: those that programs redirect to.
///
/// `S` is what stands for a socket, most likely a [`crate::Peer`]. A socket that closes does not
/// leave the map by itself, as it does in the kernel; redirecting to it fails from then on, and
/// what waited there is freed.
#[derive(Clone, Debug)]
#[doc(alias = "BPF_MAP_TYPE_SOCKMAP")]
pub struct SockMap<S> {
    slots: Box<[Option<S>]>,
}

impl<S> SockMap<S> {
    /// A map of the indices below `max_entries`.
    pub fn new(max_entries: usize) -> Self {
        Self {
            slots: (0..max_entries).map(|_| None).collect(),
        }
    }

    /// Puts `socket` at `index`, and returns what was there.
    ///
    /// # Errors
    ///
    /// [`MapError`], and the map is as it was.
    pub fn update(
        &mut self,
        index: usize,
        socket: S,
        update: Update,
    ) -> Result<Option<S>, MapError> {
        let slot = self.slots.get_mut(index).ok_or(MapError::TooBig)?;
        update.check(slot.is_some())?;
        Ok(slot.replace(socket))
    }

    /// What is at `index`.
    pub fn get(&self, index: usize) -> Option<&S> {
        self.slots.get(index)?.as_ref()
    }

    /// Takes what is at `index` out of the map.
    pub fn remove(&mut self, index: usize) -> Option<S> {
        self.slots.get_mut(index)?.take()
    }

    /// Entries of the map, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &S)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }
}

/// Sockets by a key of any type, otherwise as [`SockMap`].
#[derive(Clone, Debug)]
#[doc(alias = "BPF_MAP_TYPE_SOCKHASH")]
pub struct SockHash<K, S> {
    sockets: HashMap<K, S>,
    max_entries: usize,
}

impl<K: Eq + Hash, S> SockHash<K, S> {
    /// A map of up to `max_entries` keys.
    pub fn new(max_entries: usize) -> Self {
        Self {
            sockets: HashMap::new(),
            max_entries,
        }
    }

    /// Puts `socket` at `key`, and returns what was there.
    ///
    /// # Errors
    ///
    /// [`MapError`], and the map is as it was.
    pub fn update(&mut self, key: K, socket: S, update: Update) -> Result<Option<S>, MapError> {
        let is_full = self.sockets.len() >= self.max_entries;
        match self.sockets.entry(key) {
            Entry::Occupied(mut entry) => {
                update.check(true)?;
                Ok(Some(entry.insert(socket)))
            }
            Entry::Vacant(entry) => {
                update.check(false)?;
                if is_full {
                    return Err(MapError::TooBig);
                }
                entry.insert(socket);
                Ok(None)
            }
        }
    }

    /// What is at `key`.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.sockets.get(key)
    }

    /// Takes what is at `key` out of the map.
    pub fn remove(&mut self, key: &K) -> Option<S> {
        self.sockets.remove(key)
    }

    /// Entries of the map, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        self.sockets.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), MapError>;

    /// Each update, where nothing is and where something is.
    const CASES: [(Update, Outcome, Outcome); 3] = [
        (Update::Any, Ok(()), Ok(())),
        (Update::NoExist, Ok(()), Err(MapError::Exists)),
        (Update::Exist, Err(MapError::Missing), Ok(())),
    ];

    #[test]
    fn a_map_by_index() {
        for (update, empty, taken) in CASES {
            let mut map = SockMap::new(2);
            assert_eq!(map.update(1, 'a', update), empty.map(|()| None));
            assert_eq!(map.get(1).is_some(), empty.is_ok());
            map.update(1, 'b', Update::Any).unwrap();
            assert_eq!(map.update(1, 'c', update), taken.map(|()| Some('b')));
            let now = if taken.is_ok() { 'c' } else { 'b' };
            assert_eq!(map.iter().collect::<Vec<_>>(), [(1, &now)]);
            assert_eq!((map.remove(1), map.remove(1)), (Some(now), None));
            assert_eq!(map.update(2, 'x', update), Err(MapError::TooBig));
            assert_eq!(map.get(2), None);
            assert_eq!(map.remove(2), None);
        }
    }

    #[test]
    fn a_map_by_key() {
        for (update, empty, taken) in CASES {
            let mut map = SockHash::new(1);
            assert_eq!(map.update("k", 'a', update), empty.map(|()| None));
            assert_eq!(map.get(&"k").is_some(), empty.is_ok());
            map.update("k", 'b', Update::Any).unwrap();
            assert_eq!(map.update("k", 'c', update), taken.map(|()| Some('b')));
            let now = if taken.is_ok() { 'c' } else { 'b' };
            assert_eq!(map.iter().collect::<Vec<_>>(), [(&"k", &now)]);
            let full = match update {
                Update::Exist => MapError::Missing,
                _ => MapError::TooBig,
            };
            assert_eq!(map.update("other", 'x', update), Err(full));
            assert_eq!((map.remove(&"k"), map.remove(&"k")), (Some(now), None));
            assert_eq!(map.get(&"k"), None);
        }
    }
}
