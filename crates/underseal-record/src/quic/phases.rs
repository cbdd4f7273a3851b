//! The keys of a receiving direction: those of the generation before, of the current, of the next.

use core::mem;

use crate::quic::{Dropped, PacketKey, Version, secrets};
use crate::{Backend, TrafficSecret};

/// Which of the three keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Previous,
    Current,
    Next,
}

pub(crate) struct Phases {
    version: Version,
    backend: Backend,
    previous: Option<PacketKey>,
    current: PacketKey,
    /// Derived in advance: how long it takes must not tell an observer of an update (RFC 9001
    /// section 9.5).
    next: PacketKey,
    /// Of the generation after the next.
    secret: TrafficSecret,
    generation: u64,
    /// The smallest number opened under the current key.
    first: Option<u64>,
}

impl Phases {
    /// `current` is the key of `secret`.
    pub(crate) fn new(
        version: Version,
        current: PacketKey,
        mut secret: TrafficSecret,
        backend: Backend,
    ) -> Self {
        secrets::update(version, &mut secret);
        let next = secrets::packet_key(version, &secret, backend);
        secrets::update(version, &mut secret);
        Self {
            version,
            backend,
            previous: None,
            current,
            next,
            secret,
            generation: 0,
            first: None,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn discard_previous(&mut self) {
        self.previous = None;
    }

    /// The key for a packet of this number in this phase (RFC 9001 section 6.5): one that is older than
    /// what was opened under the current key was sealed under the one before.
    #[inline]
    pub(crate) fn choose(&self, phase: bool, number: u64) -> Result<(Turn, &PacketKey), Dropped> {
        if phase == (self.generation % 2 == 1) {
            return Ok((Turn::Current, &self.current));
        }
        match (self.first, &self.previous) {
            (Some(first), Some(previous)) if number < first => Ok((Turn::Previous, previous)),
            (Some(first), None) if number < first => Err(Dropped::MissingGeneration),
            _ => Ok((Turn::Next, &self.next)),
        }
    }

    /// Takes note of a packet that authenticated, and says of which generation it is.
    #[inline]
    pub(crate) fn opened(&mut self, turn: Turn, number: u64) -> u64 {
        match turn {
            Turn::Previous => return self.generation - 1,
            Turn::Current => {
                self.first = Some(self.first.map_or(number, |first| first.min(number)));
            }
            Turn::Next => {
                self.advance();
                self.first = Some(number);
            }
        }
        self.generation
    }

    #[cold]
    fn advance(&mut self) {
        let following = secrets::packet_key(self.version, &self.secret, self.backend);
        secrets::update(self.version, &mut self.secret);
        let current = mem::replace(&mut self.next, following);
        self.previous = Some(mem::replace(&mut self.current, current));
        self.generation += 1;
    }
}
