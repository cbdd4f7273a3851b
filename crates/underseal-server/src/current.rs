//! What a reload replaces, shared by all workers, and looked at on each use without a lock.

use std::cell::{Cell, Ref, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The value in force.
pub struct Current<T> {
    /// Counts replacements; written after the value.
    generation: AtomicU64,
    value: RwLock<Arc<T>>,
}

/// A worker's view of a [`Current`]: the lock is taken once per replacement.
pub struct Latest<T> {
    source: Arc<Current<T>>,
    generation: Cell<u64>,
    value: RefCell<Arc<T>>,
}

impl<T> Current<T> {
    /// Puts the first value in force.
    pub fn new(value: T) -> Arc<Self> {
        Arc::new(Self {
            generation: AtomicU64::new(0),
            value: RwLock::new(Arc::new(value)),
        })
    }

    /// Puts another value in force.
    pub fn replace(&self, value: T) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Latest<T> {
    /// A view for one worker.
    pub fn of(source: &Arc<Current<T>>) -> Self {
        Self {
            generation: Cell::new(source.generation.load(Ordering::Acquire)),
            value: RefCell::new(source.get()),
            source: Arc::clone(source),
        }
    }

    /// The value in force. Not to be held while waiting.
    pub fn get(&self) -> Ref<'_, Arc<T>> {
        let generation = self.source.generation.load(Ordering::Acquire);
        if self.generation.replace(generation) != generation {
            *self.value.borrow_mut() = self.source.get();
        }
        self.value.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_seen_at_the_next_look() {
        let current = Current::new(1);
        let latest = Latest::of(&current);
        assert_eq!(**latest.get(), 1);
        current.replace(2);
        assert_eq!(**latest.get(), 2);
        assert_eq!(**latest.get(), 2);
    }
}
