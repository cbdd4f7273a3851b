//! Heads of responses that are held for their files, and how often the thread looks for those that nothing followed. A
//! look costs as much as a few requests do. So a program is looked at less often while its heads are followed by
//! themselves, and every millisecond again when one was not.

use std::sync::Weak;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use underseal_record::SeqNo;

use super::{Kept, TICK, push};
use crate::connection::Socket;

/// After this many looks that found no head left alone the time between them is doubled, and this often at most.
const LOOKS: u32 = 16;
const MOST_DOUBLED: u32 = 3;

/// Looks in a row, behind which heads had come, that found none left alone.
static GOOD_LOOKS: AtomicU32 = AtomicU32::new(0);

/// Something that is held.
pub(super) struct Head {
    socket: Weak<Socket>,
    /// The number of the record that it begins; none of records that are sealed.
    record: Option<SeqNo>,
    /// Whether a look has seen it: it may have been held just then.
    is_seen: bool,
}

impl Head {
    pub(super) fn of(socket: &Socket, record: Option<SeqNo>) -> Self {
        Self {
            socket: Weak::clone(&socket.weak),
            record,
            is_seen: false,
        }
    }

    /// Its socket, if that is there.
    pub(super) fn socket(&self) -> Option<Kept> {
        Kept::upgrade(&self.socket)
    }

    /// The same, if it may still be held.
    pub(super) fn held_at(&self) -> Option<Kept> {
        let socket = self.socket()?;
        let is_held = match self.record {
            Some(_) => match socket.held_record() {
                Ok(record) => record == self.record,
                // Somebody is sending.
                Err(error) => error == Errno::AGAIN,
            },
            None => socket.owed() != Some(0),
        };
        is_held.then_some(socket)
    }
}

/// What is, or was, held.
#[derive(Default)]
pub(super) struct Heads(Vec<Head>);

impl Heads {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says no where there is no memory for it.
    pub(super) fn add(&mut self, head: Head) -> bool {
        push(&mut self.0, head)
    }

    pub(super) fn take(&mut self) -> Vec<Head> {
        std::mem::take(&mut self.0)
    }

    /// Those that a look has seen before.
    pub(super) fn look(&mut self) -> Vec<Head> {
        let seen = self
            .0
            .extract_if(.., |head| std::mem::replace(&mut head.is_seen, true));
        seen.collect()
    }

    /// How long it is until the next look.
    pub(super) fn rest(&self) -> Duration {
        let looks = GOOD_LOOKS.load(Ordering::Relaxed);
        match self.0.iter().any(|head| head.is_seen) {
            true => TICK,
            false => TICK * (1 << (looks / LOOKS).min(MOST_DOUBLED)),
        }
    }
}

/// Notes whether a look behind which heads had come found one left alone.
pub(super) fn note(is_left_alone: bool) {
    let looks = match is_left_alone {
        true => 0,
        false => GOOD_LOOKS.load(Ordering::Relaxed).saturating_add(1),
    };
    GOOD_LOOKS.store(looks, Ordering::Relaxed);
}
