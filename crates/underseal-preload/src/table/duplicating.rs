//! A number whose file gets another number.

use std::ffi::c_int;
use std::sync::atomic::{Ordering, fence};

use rustix::io::Errno;

use super::{Slot, place_of};

/// A call is about to give a number's file another number. It says so before it looks whether the number is a
/// connection's, and who makes it one looks for such calls behind that: one of both sees the other, without a lock,
/// which a signal handler must not wait for.
pub(crate) struct Duplicating(Option<&'static Slot>);

impl Duplicating {
    /// # Errors
    ///
    /// `ENOMEM` where it cannot be noted.
    pub(crate) fn of(fd: c_int) -> Result<Self, Errno> {
        let slot = place_of(fd)?;
        if let Some(slot) = slot {
            slot.duplicating.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        Ok(Self(slot))
    }

    /// The file has `other` too.
    ///
    /// # Errors
    ///
    /// `ENOMEM` where it cannot be noted of that.
    pub(crate) fn note(&self, other: c_int) -> Result<(), Errno> {
        for slot in [self.0, place_of(other)?].into_iter().flatten() {
            slot.is_duplicated.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Drop for Duplicating {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.duplicating.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
