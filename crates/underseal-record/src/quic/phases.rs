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
    /// The largest number opened under the keys before.
    last_before: Option<u64>,
}

impl Phases {
    /// `current` is the key of `secret`.
    pub(crate) fn new(
        version: Version,
        current: PacketKey,
        mut secret: TrafficSecret,
        backend: Backend,
    ) -> Self {
        secrets::update_secret(version, &mut secret);
        let next = secrets::packet_key(version, &secret, backend);
        secrets::update_secret(version, &mut secret);
        Self {
            version,
            backend,
            previous: None,
            current,
            next,
            secret,
            generation: 0,
            first: None,
            last_before: None,
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
    ///
    /// Where that is gone, the next one stands in: a packet takes as long as any other then, and does
    /// not open (section 6.3).
    #[inline]
    pub(crate) fn choose(&self, phase: bool, number: u64) -> (Turn, &PacketKey) {
        if phase == (self.generation % 2 == 1) {
            return (Turn::Current, &self.current);
        }
        match &self.previous {
            Some(previous) if self.is_before(number) => (Turn::Previous, previous),
            _ => (Turn::Next, &self.next),
        }
    }

    /// Why a packet did not open under the key of `turn`.
    #[cold]
    pub(crate) fn refusal(&self, turn: Turn, number: u64) -> Dropped {
        match turn {
            Turn::Next if self.is_before(number) => Dropped::MissingGeneration,
            _ => Dropped::Forged,
        }
    }

    /// Whether a packet that authenticated is as new as its key: no larger number was opened under an
    /// older one. `largest` is the largest that was opened.
    #[inline]
    pub(crate) fn is_in_order(&self, turn: Turn, number: u64, largest: Option<u64>) -> bool {
        match turn {
            // `choose` took the key for its number.
            Turn::Previous => true,
            Turn::Current => self.last_before.is_none_or(|last| last < number),
            Turn::Next => largest.is_none_or(|last| last < number),
        }
    }

    /// Takes note of a packet that authenticated, and says of which generation it is; `largest` is the
    /// largest number that was opened before it.
    #[inline]
    pub(crate) fn opened(&mut self, turn: Turn, number: u64, largest: Option<u64>) -> u64 {
        match turn {
            Turn::Previous => {
                self.last_before = self.last_before.max(Some(number));
                return self.generation - 1;
            }
            Turn::Current => {
                self.first = Some(self.first.map_or(number, |first| first.min(number)));
            }
            Turn::Next => {
                self.advance();
                self.first = Some(number);
                self.last_before = largest;
            }
        }
        self.generation
    }

    /// Whether packets of larger numbers were opened under the current key.
    #[inline]
    fn is_before(&self, number: u64) -> bool {
        self.first.is_some_and(|first| number < first)
    }

    #[cold]
    fn advance(&mut self) {
        let following = secrets::packet_key(self.version, &self.secret, self.backend);
        secrets::update_secret(self.version, &mut self.secret);
        let current = mem::replace(&mut self.next, following);
        self.previous = Some(mem::replace(&mut self.current, current));
        self.generation += 1;
    }
}
