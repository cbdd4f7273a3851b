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
#[derive(Clone)]
pub(super) struct Head {
    socket: Weak<Socket>,
    /// The number of the record that it begins; none of records that are sealed.
    record: Option<SeqNo>,
    /// Whether a look has seen it: it may have been held just then.
    is_seen: bool,
}

/// What has become of a head.
pub(super) enum Fate {
    /// Nothing has followed it.
    Held(Kept),
    /// It is sealed, and the socket may not have taken it.
    Sealed(Kept),
    /// Somebody is sending, and perhaps the head with that.
    Unknown,
    Gone,
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

    /// Whether nothing has followed it so far.
    pub(super) fn may_be_left_alone(&self) -> bool {
        matches!(self.fate(), Fate::Held(_) | Fate::Sealed(_))
    }

    /// What has become of it.
    pub(super) fn fate(&self) -> Fate {
        let Some(socket) = self.socket() else {
            return Fate::Gone;
        };
        let held = match self.record {
            Some(_) => socket.held_record(),
            None => Ok(None),
        };
        match held {
            Err(Errno::AGAIN) => Fate::Unknown,
            Err(_) => Fate::Gone,
            Ok(Some(_)) if held == Ok(self.record) => Fate::Held(socket),
            // Another is. None is held while the socket has not taken what is sealed.
            Ok(Some(_)) => Fate::Gone,
            Ok(None) => match socket.owed() {
                None => Fate::Unknown,
                Some(0) => Fate::Gone,
                Some(_) if self.record.is_none() => Fate::Held(socket),
                Some(_) => Fate::Sealed(socket),
            },
        }
    }
}

/// What is, or was, held.
#[derive(Default)]
pub(super) struct Heads {
    list: Vec<Head>,
    /// Whether the last look found one that may be left alone.
    is_one_held: bool,
}

/// What a look has seen for the first time, and what it has seen before.
#[derive(Default)]
pub(super) struct Look {
    pub(super) new: Vec<Head>,
    pub(super) seen: Vec<Head>,
}

impl Heads {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Says no where there is no memory for it.
    pub(super) fn add(&mut self, head: Head) -> bool {
        push(&mut self.list, head)
    }

    pub(super) fn take(&mut self) -> Vec<Head> {
        self.is_one_held = false;
        std::mem::take(&mut self.list)
    }

    /// Takes out those that a look has seen before.
    pub(super) fn look(&mut self) -> Look {
        let list = &mut self.list;
        let seen = list.extract_if(.., |head| std::mem::replace(&mut head.is_seen, true));
        let seen = seen.collect();
        let new = self.list.clone();
        Look { new, seen }
    }

    /// Puts back those of whom a look could not tell, and notes whether it found one `held` that it had not seen before.
    pub(super) fn settle(&mut self, unknown: Vec<Head>, is_one_held: bool) {
        self.is_one_held = is_one_held;
        for head in unknown {
            // There is room for as many as were taken out, unless others have come and memory ends.
            self.add(head);
        }
    }

    /// How long it is until the next look.
    pub(super) fn rest(&self) -> Duration {
        let looks = GOOD_LOOKS.load(Ordering::Relaxed);
        match self.is_one_held {
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
