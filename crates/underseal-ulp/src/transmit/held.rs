//! The start of a record whose rest has not come.

use std::fmt;

use rustix::io::Errno;

/// Most plaintext of a head: a longer one costs no more as a record of its own.
const MOST_OF_A_HEAD: usize = 4096;

/// Plaintext that its writer takes for sent, in front of everything that is sealed later.
#[derive(Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Whether its writer has said that more follows: it is not sent for the sake of any other call.
    is_open: bool,
}

impl Held {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether its writer has said that more follows.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Adds what is to be sent soon, whatever follows. Says no if that is too much together.
    pub(super) fn add_head(&mut self, head: &[u8], most: usize) -> bool {
        let has_room = self.bytes.len() + head.len() <= most.min(MOST_OF_A_HEAD)
            && self.bytes.try_reserve(head.len()).is_ok();
        if has_room {
            self.bytes.extend_from_slice(head);
            self.is_open = false;
        }
        has_room
    }

    /// Adds what more follows, as its writer has said. What was to be sent soon still is.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn add_open(&mut self, data: &[u8]) -> Result<(), Errno> {
        let reserved = self.bytes.try_reserve(data.len());
        reserved.map_err(|_| Errno::NOMEM)?;
        self.is_open |= self.bytes.is_empty();
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// It was sealed. A connection keeps room for a head at most.
    pub(super) fn clear(&mut self) {
        match self.bytes.capacity() > MOST_OF_A_HEAD {
            true => self.bytes = Vec::new(),
            false => self.bytes.clear(),
        }
        self.is_open = false;
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("len", &self.bytes.len())
            .field("is_open", &self.is_open)
            .finish_non_exhaustive()
    }
}
