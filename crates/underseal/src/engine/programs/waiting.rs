//! Who waits for a redirect.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use underseal_message::Notify;
use underseal_sys::tls::Direction;

/// The tasks, or the thread, of a connection that wait until a target has room, or until something
/// is redirected here.
#[derive(Default)]
pub(crate) struct Waiting {
    state: Mutex<State>,
    notified: Condvar,
}

#[derive(Default)]
struct State {
    writer: Option<Waker>,
    reader: Option<Waker>,
    was_notified: bool,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the task that works on `direction` woken by the next notification.
    pub(crate) fn note_task(&self, direction: Direction, waker: &Waker) {
        let mut state = self.state();
        let slot = match direction {
            Direction::Tx => &mut state.writer,
            Direction::Rx => &mut state.reader,
        };
        note(slot, waker);
    }

    /// Forgets notifications up to now.
    pub(crate) fn note_thread(&self) {
        self.state().was_notified = false;
    }

    /// Blocks this thread until there was a notification since [`Self::note_thread`].
    pub(crate) fn block(&self) {
        let mut state = self.state();
        while !state.was_notified {
            let woken = self.notified.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Has `slot` wake what `waker` does. Most of the time it does so already, which costs nothing.
pub(crate) fn note(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(noted) => noted.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

impl Notify for Waiting {
    fn notify(&self) {
        let mut state = self.state();
        state.was_notified = true;
        let tasks = [state.writer.take(), state.reader.take()];
        drop(state);
        self.notified.notify_all();
        tasks.into_iter().flatten().for_each(Waker::wake);
    }
}
