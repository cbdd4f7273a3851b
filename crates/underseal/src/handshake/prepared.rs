use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The copies of an application's configurations that handshakes work on: one per configuration, so
/// that a connector or an acceptor that is made for each connection copies nothing.
///
/// A copy lives as long as the configuration that it was made from, and until the next copy is made.
pub(super) struct Prepared<C>(Mutex<BTreeMap<usize, Copied<C>>>);

struct Copied<C> {
    /// As long as it is here, no other configuration can lie at the same address, and nobody can
    /// change this one.
    original: Weak<C>,
    copy: Arc<C>,
}

impl<C> Prepared<C> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The copy of `original`, made by `prepare` if there is none yet.
    pub(super) fn of(&self, original: &Arc<C>, prepare: impl FnOnce(&C) -> C) -> Arc<C> {
        let address = Arc::as_ptr(original).addr();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copied) = all.get(&address) {
            return Arc::clone(&copied.copy);
        }
        let ended: Vec<_> = all
            .extract_if(.., |_, copied| copied.original.strong_count() == 0)
            .collect();
        let copy = Arc::new(prepare(original));
        let copied = Copied {
            original: Arc::downgrade(original),
            copy: Arc::clone(&copy),
        };
        all.insert(address, copied);
        drop(all);
        // What the application put into them may come back here.
        drop(ended);
        copy
    }
}
