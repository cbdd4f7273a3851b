use std::io::IoSlice;

use crate::{MessageDirection, Slices};

/// What the caller has to do with the next bytes.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "who carries it out must know each")]
pub enum Decision<'o, K = usize> {
    /// Pass them on.
    Pass(Chunk<'o>),
    /// Give them to another socket.
    Redirect {
        /// The key of that socket.
        to: &'o K,
        /// Whether it sends them or reads them.
        direction: MessageDirection,
        /// The bytes.
        chunk: Chunk<'o>,
    },
}

impl<'o, K> Decision<'o, K> {
    /// The bytes that it is about.
    pub fn chunk(&self) -> Chunk<'o> {
        match self {
            Self::Pass(chunk) | Self::Redirect { chunk, .. } => *chunk,
        }
    }
}

/// Bytes that were judged: some of the filter's own, then some of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'o> {
    own: &'o [u8],
    offered: Slices<'o>,
    behind: usize,
}

impl<'o> Chunk<'o> {
    /// The first `len` bytes of `input` behind `own`.
    pub(super) fn new(own: &'o [u8], input: Slices<'o>, len: usize) -> Self {
        let offered = input.first(len);
        let behind = input.len() - offered.len();
        Self {
            own,
            offered,
            behind,
        }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.own.len() + self.offered.len()
    }

    /// Whether there is no byte, which is so of no chunk that a decision is about.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn first(self, len: usize) -> Self {
        let own = &self.own[..self.own.len().min(len)];
        let offered = self.offered.first(len - own.len());
        let behind = self.behind + self.offered.len() - offered.len();
        Self {
            own,
            offered,
            behind,
        }
    }

    /// Bytes offered that come behind it, and were not accepted yet either.
    pub fn behind(&self) -> usize {
        self.behind
    }

    /// What the filter kept; the bytes offered come behind it.
    pub fn own(&self) -> &'o [u8] {
        self.own
    }

    /// As many of the bytes offered that were not accepted yet, from the first on, unchanged: who
    /// has them in place already, as a reader may, need not move them.
    pub fn offered(&self) -> Slices<'o> {
        self.offered
    }

    /// All of its slices; none is empty.
    pub fn slices(&self) -> impl Iterator<Item = &'o [u8]> + use<'o> {
        let own = Some(self.own).filter(|own| !own.is_empty());
        own.into_iter().chain(self.offered.iter())
    }

    /// Fills `out` from the front with slices for a vectored write, and returns those it filled:
    /// all of the chunk, or as much of it as `out` has room for.
    pub fn gather<'s>(&self, out: &'s mut [IoSlice<'o>]) -> &'s mut [IoSlice<'o>] {
        let mut filled = 0;
        for (slot, slice) in out.iter_mut().zip(self.slices()) {
            *slot = IoSlice::new(slice);
            filled += 1;
        }
        &mut out[..filled]
    }
}

impl<'o> From<&'o [u8]> for Chunk<'o> {
    fn from(own: &'o [u8]) -> Self {
        Self::new(own, Slices::default(), 0)
    }
}
