//! Tokens that were verified, each by the worker that saw it: a signature costs as much as a hundred
//! decisions.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;

use underseal_policy::Claims;

/// How many bytes of tokens a worker remembers, the claims beside them.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// What an entry costs beside its token.
const OVERHEAD: usize = 128;

/// A token that was verified.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it stood.
    pub(super) location: usize,
    /// The second from which it is not believed.
    pub(super) expires: u64,
    pub(super) claims: Rc<Claims>,
}

impl Entry {
    fn claims_at(&self, location: usize) -> Option<Rc<Claims>> {
        (self.location == location).then(|| Rc::clone(&self.claims))
    }
}

/// The tokens that were used last. When half of the room is full, what was not used since the other
/// half was full is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    generation: u64,
    young: HashMap<Box<[u8]>, Entry>,
    young_bytes: usize,
    old: HashMap<Box<[u8]>, Entry>,
}

impl Cache {
    /// Forgets what was verified by other keys.
    pub(super) fn belong_to(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
    }

    pub(super) fn get(&mut self, token: &[u8], location: usize, now: u64) -> Option<Rc<Claims>> {
        match self.young.get(token) {
            Some(entry) if now < entry.expires => return entry.claims_at(location),
            Some(_) => {
                self.young.remove(token);
                return None;
            }
            None => {}
        }
        let (token, entry) = self.old.remove_entry(token)?;
        let claims = entry.claims_at(location).filter(|_| now < entry.expires)?;
        self.keep(token, entry);
        Some(claims)
    }

    pub(super) fn put(&mut self, token: &[u8], entry: Entry) {
        self.keep(token.into(), entry);
    }

    fn keep(&mut self, token: Box<[u8]>, entry: Entry) {
        let bytes = 2 * token.len() + OVERHEAD;
        if self.young_bytes + bytes > MAX_BYTES / 2 {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(token, entry);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
