//! What a process that came by fork does about the connections of its parent.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{CHUNK, Entry, FOREIGN, PLAIN, PRIVATE, Slot, TABLE, new_chunk};
use crate::sys;

/// In a process that came by fork: closes what is private, and makes the connections another's. Locks
/// may be held by threads that are not here, so every chunk is replaced, and the old one leaks. `comes_back` is whether
/// this thread is in the midst of another call.
pub(crate) fn give_up(comes_back: bool) {
    replace_chunks(comes_back, |_| true);
}

/// The same where there never was a connection, of those chunks alone that a call was in the midst of: others wait for
/// it, and it may be a thread's that is not here.
pub(crate) fn give_up_calls(comes_back: bool) {
    let is_in_call = |slot: &Slot| {
        slot.entry.try_lock().is_err() || slot.duplicating.load(Ordering::Acquire) > 0
    };
    replace_chunks(comes_back, |chunk| chunk.iter().any(is_in_call));
}

fn replace_chunks(comes_back: bool, is_to_be: impl Fn(&[Slot; CHUNK]) -> bool) {
    for (index, place) in TABLE.iter().enumerate() {
        let old = place.load(Ordering::Acquire);
        // SAFETY: null, or a chunk that is never freed.
        let Some(old) = (unsafe { old.as_ref() }).filter(|old| is_to_be(old)) else {
            continue;
        };
        // Where memory ends nothing is known any more: calls find the inert socket.
        let new = new_chunk();
        for (at, slot) in old.iter().enumerate() {
            let new = new.as_ref().map(|chunk| &chunk[at]);
            give_up_slot((index * CHUNK + at) as c_int, (slot, new), comes_back);
        }
        place.store(new.map_or(null_mut(), Box::into_raw), Ordering::Release);
    }
}

fn give_up_slot(fd: c_int, (old, new): (&Slot, Option<&Slot>), comes_back: bool) {
    let kind = old.kind.load(Ordering::Acquire);
    // SAFETY: null, or a connection that has not ended, and does not while the threads of this process wait for this.
    match unsafe { old.owner.load(Ordering::Acquire).as_ref() } {
        Some(connection) => connection.give_up(fd, comes_back),
        None if kind == PRIVATE => {
            let _ = sys::close(fd);
        }
        None => {}
    }
    if kind == PRIVATE {
        return;
    }
    let entry = old.entry.try_lock().ok();
    let Some(new) = new else {
        return;
    };
    let is_duplicated =
        old.is_duplicated.load(Ordering::Acquire) || old.duplicating.load(Ordering::Acquire) > 0;
    new.is_duplicated.store(is_duplicated, Ordering::Release);
    let mut known = new.entry.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(old) = &entry {
        known.watches = old.watches.clone();
        known.ulp = old.ulp;
    }
    if kind != PLAIN {
        known.foreign = foreign(fd, entry.as_deref());
        new.kind.store(FOREIGN, Ordering::Release);
    }
}

/// Which file stands at a number that was a connection's; the one that is there where a thread that is not here was
/// looking at it.
fn foreign(fd: c_int, old: Option<&Entry>) -> (u64, u64) {
    match old.map(|old| (&old.socket, old.foreign)) {
        Some((Some(socket), _)) => socket.inert,
        Some((None, foreign)) if foreign != (0, 0) => foreign,
        _ => sys::identity(fd).unwrap_or_default(),
    }
}
