//! Sealing a batch: of what lies in memory, and of what is read to where it is sealed.

use std::io::{IoSlice, IoSliceMut};

use rustix::io::Errno;
use underseal_record::ContentType;

use super::layout::{Layout, PAGE, Place};
use super::{Lent, MAX_BATCH, Transmit, errno_of};
use crate::{Plaintext, Stored};

/// Most full records of a batch that is read. The first may be shorter, and the last.
const FULL_RECORDS: usize = MAX_BATCH >> 14;
const RECORDS: usize = FULL_RECORDS + 2;

/// How a batch is sealed of what lies in memory.
pub(super) fn of_memory(
    data: &mut impl Plaintext,
) -> impl FnMut(&mut Transmit, usize, usize, &mut Lent) -> Result<(), Errno> {
    |transmit, position, most, lent| transmit.seal(data, position, most, lent)
}

/// How a batch is sealed of what is read.
pub(super) fn of_file(
    data: &mut impl Stored,
) -> impl FnMut(&mut Transmit, usize, usize, &mut Lent) -> Result<(), Errno> {
    |transmit, position, most, lent| transmit.seal_stored(data, position, most, lent)
}

impl Transmit {
    /// Seals up to `most` bytes of `data` into what is lent.
    fn seal(
        &mut self,
        data: &mut impl Plaintext,
        position: usize,
        most: usize,
        lent: &mut Lent,
    ) -> Result<(), Errno> {
        while lent.plaintext() < most {
            let wanted = most - lent.plaintext();
            let mut piece = data.at(position + lent.plaintext(), wanted)?;
            if piece.is_empty() {
                break;
            }
            if !self.held.is_empty() {
                let consumed = self.seal_held_with(piece, lent)?;
                piece = &piece[consumed..];
            }
            while !piece.is_empty() {
                let len = piece.len().min(self.sealer.max_plaintext());
                let room = lent.room(self.sealer.record_len(len))?;
                let sealed = self.sealer.seal(ContentType::APPLICATION_DATA, piece, room);
                let sealed = sealed.map_err(errno_of)?;
                lent.commit(sealed.consumed, sealed.written);
                piece = &piece[sealed.consumed..];
            }
        }
        Ok(())
    }

    /// Seals a record of what is held and what follows it. Returns how much of that went into it.
    fn seal_held_with(&mut self, piece: &[u8], lent: &mut Lent) -> Result<usize, Errno> {
        let held = self.held.bytes();
        let total = (held.len() + piece.len()).min(self.sealer.max_plaintext());
        let both = [IoSlice::new(held), IoSlice::new(piece)];
        let room = lent.room(self.sealer.record_len(total))?;
        let data = ContentType::APPLICATION_DATA;
        let sealed = self.sealer.seal_vectored(data, &both, room);
        let sealed = sealed.map_err(errno_of)?;
        let consumed = sealed.consumed - held.len();
        lent.commit(consumed, sealed.written);
        lent.owe();
        self.held.clear();
        Ok(consumed)
    }

    /// Reads up to `most` bytes of `data` to what is lent, and seals them there.
    fn seal_stored(
        &mut self,
        data: &mut impl Stored,
        position: usize,
        most: usize,
        lent: &mut Lent,
    ) -> Result<(), Errno> {
        let full = self.sealer.max_plaintext();
        let most = most.min(FULL_RECORDS * full);
        let held = self.held.bytes().len();
        let place = data.place(position);
        let layout = |start| Layout::new(start, place, most, full, held);
        lent.reserve(layout(0).room(), RECORDS)?;
        let mut places = [Place::default(); RECORDS];
        let mut count = 0;
        for (place, next) in places.iter_mut().zip(layout(lent.first_aligned(PAGE))) {
            *place = next;
            count += 1;
        }
        let places = &places[..count];
        let mut rooms: [_; RECORDS] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
        lent.rooms(places, &mut rooms);
        let mut read = data.read(position, &mut rooms[..count])?;
        for place in places {
            let len = place.len.min(read);
            if len == 0 {
                break;
            }
            self.seal_in_place(place.data, len, lent)?;
            read -= len;
        }
        Ok(())
    }

    /// Seals a record of what is held and the `len` bytes that were read to `data`, where they lie.
    fn seal_in_place(&mut self, data: usize, len: usize, lent: &mut Lent) -> Result<(), Errno> {
        let held = self.held.bytes();
        let prefix = self.sealer.prefix_len();
        let room = lent.room_from(data - held.len() - prefix);
        room[prefix..prefix + held.len()].copy_from_slice(held);
        let total = held.len() + len;
        let data = ContentType::APPLICATION_DATA;
        let written = self.sealer.seal_in_place(data, room, total);
        lent.commit(len, written.map_err(errno_of)?);
        if !held.is_empty() {
            lent.owe();
            self.held.clear();
        }
        Ok(())
    }
}
