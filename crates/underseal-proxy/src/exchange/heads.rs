//! Heads of a worker, lent to the exchange that writes one.

use std::cell::RefCell;

use underseal_http::Outgoing;

/// Most heads kept.
const KEEP: usize = 128;
/// Heads that are longer than this many bytes are not kept.
const KEEP_LEN: usize = 16 * 1024;

/// Heads with room in them.
#[derive(Default)]
pub(crate) struct Heads(RefCell<Vec<Outgoing>>);

impl Heads {
    /// A head that is to be written, with the room of an earlier one if there was one.
    pub(crate) fn take(&self) -> Outgoing {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a head back that is not needed any more.
    pub(crate) fn give(&self, outgoing: Outgoing) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEEP && (1..=KEEP_LEN).contains(&outgoing.head().len()) {
            kept.push(outgoing);
        }
    }
}
