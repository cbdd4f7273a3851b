//! Where the bytes of a call come from or go to: the program's memory, or a file.

use std::ffi::c_int;
use std::io::IoSliceMut;
use std::slice;

use rustix::io::Errno;
use underseal_ulp::{Plaintext, Sink, Stored};

use crate::{memory, sys};

const PAGE: usize = 4096;

/// Plaintext of a full record.
const RECORD: usize = 1 << 14;

/// A range of the program's memory, tried as far as it is about to be read.
pub(crate) struct Memory {
    pub(crate) pointer: *const u8,
    pub(crate) len: usize,
}

impl Plaintext for Memory {
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno> {
        let len = self.len.saturating_sub(position).min(most);
        if len == 0 {
            return Ok(&[]);
        }
        // SAFETY: the program has asked for these bytes to be sent, and waits for the call's end.
        unsafe { memory::bytes(self.pointer.wrapping_add(position), len) }
    }
}

/// Several ranges of it, one behind another. Where a record takes from more than one, the bytes are
/// copied together.
pub(crate) struct Gathered {
    pub(crate) pieces: Vec<libc::iovec>,
    copy: Vec<u8>,
}

impl Gathered {
    pub(crate) fn new(pieces: Vec<libc::iovec>) -> Self {
        let copy = Vec::new();
        Self { pieces, copy }
    }

    /// The pieces from `position` on, as addresses and lengths.
    fn from(&self, position: usize) -> impl Iterator<Item = (*const u8, usize)> {
        let mut before = 0;
        self.pieces.iter().filter_map(move |piece| {
            let skipped = position.saturating_sub(before).min(piece.iov_len);
            before += piece.iov_len;
            let pointer = piece.iov_base.cast::<u8>().cast_const();
            let left = piece.iov_len - skipped;
            (left > 0).then(|| (pointer.wrapping_add(skipped), left))
        })
    }
}

impl Plaintext for Gathered {
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno> {
        let mut pieces = self.from(position);
        let Some((pointer, len)) = pieces.next() else {
            return Ok(&[]);
        };
        let is_last = pieces.next().is_none();
        drop(pieces);
        let wanted = most.min(RECORD);
        if is_last || len >= wanted {
            // SAFETY: the program has asked for these bytes to be sent, and waits for the call's end.
            return unsafe { memory::bytes(pointer, len.min(most)) };
        }
        let mut copy = std::mem::take(&mut self.copy);
        copy.clear();
        copy.try_reserve(wanted).map_err(|_| Errno::NOMEM)?;
        for (pointer, len) in self.from(position) {
            let len = len.min(wanted - copy.len());
            // SAFETY: as above.
            copy.extend_from_slice(unsafe { memory::bytes(pointer, len) }?);
        }
        self.copy = copy;
        Ok(&self.copy)
    }
}

/// Ranges of the program's memory. For one, which most calls have, no memory is taken.
pub(crate) enum Pieces {
    One(libc::iovec),
    Several(Vec<libc::iovec>),
}

impl Pieces {
    fn all(&self) -> &[libc::iovec] {
        match self {
            Self::One(piece) => slice::from_ref(piece),
            Self::Several(pieces) => pieces,
        }
    }
}

/// Ranges of the program's memory that are filled, one behind another.
pub(crate) struct Scattered {
    pieces: Pieces,
    filled: usize,
}

impl Scattered {
    pub(crate) fn new(pieces: Pieces) -> Self {
        Self { pieces, filled: 0 }
    }

    /// The places of the next `len` bytes.
    fn places(&self, len: usize) -> impl Iterator<Item = (*mut u8, usize)> {
        let (mut before, mut left) = (0, len);
        self.pieces.all().iter().filter_map(move |piece| {
            let skipped = self.filled.saturating_sub(before).min(piece.iov_len);
            before += piece.iov_len;
            let len = (piece.iov_len - skipped).min(left);
            left -= len;
            let pointer = piece.iov_base.cast::<u8>();
            (len > 0).then(|| (pointer.wrapping_add(skipped), len))
        })
    }
}

impl Sink for Scattered {
    fn takes(&mut self, len: usize) -> bool {
        self.places(len)
            .all(|(pointer, len)| memory::is_writable(pointer, len))
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        let len = bytes.len();
        for (pointer, len) in self.places(len) {
            let (first, rest) = bytes.split_at(len);
            memory::put(pointer, first)?;
            bytes = rest;
        }
        self.filled += len;
        Ok(())
    }
}

/// A file from an offset on.
pub(crate) struct File {
    pub(crate) fd: c_int,
    pub(crate) offset: i64,
}

impl Stored for File {
    fn place(&self, position: usize) -> usize {
        (self.offset as usize).wrapping_add(position) % PAGE
    }

    fn read(&mut self, position: usize, mut rooms: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        let offset = i64::try_from(position).map_err(|_| Errno::OVERFLOW)?;
        let offset = self.offset.checked_add(offset).ok_or(Errno::OVERFLOW)?;
        let mut len = 0;
        // A record that is not full in the middle of a file would make more of them.
        while !rooms.is_empty() {
            match sys::preadv(self.fd, rooms, offset + len as i64) {
                Ok(0) => break,
                Ok(read) => {
                    len += read;
                    IoSliceMut::advance_slices(&mut rooms, read);
                }
                Err(Errno::INTR) => {}
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}
