//! sendmmsg(2) and recvmmsg(2): several messages by one call.

use std::ffi::c_uint;

use libc::{mmsghdr, msghdr};
use rustix::io::Errno;

use super::send::MOST_PIECES;
use crate::memory;

/// What became of one message.
pub(super) struct Done {
    pub(super) len: usize,
    /// Whether the next one may follow.
    pub(super) goes_on: bool,
}

/// Does `one` with each message, whose number it is given, until one stops it. Returns how many are done.
///
/// # Errors
///
/// That of the first message; what failed behind it is for the next call to find, as in `__sys_sendmmsg` and
/// `do_recvmmsg` of `net/socket.c`.
pub(super) fn each(
    messages: *mut mmsghdr,
    count: c_uint,
    mut one: impl FnMut(usize, *mut msghdr) -> Result<Done, Errno>,
) -> Result<usize, Errno> {
    let count = (count as usize).min(MOST_PIECES);
    for index in 0..count {
        let message = messages.wrapping_add(index);
        let place = message.wrapping_byte_add(std::mem::offset_of!(mmsghdr, msg_len));
        // Both lie in one struct: the header comes first.
        let outcome = one(index, message.cast()).and_then(|done| {
            memory::put_value(place.cast(), done.len as c_uint)?;
            Ok(done.goes_on)
        });
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(index + 1),
            Err(error) if index == 0 => return Err(error),
            Err(_) => return Ok(index),
        }
    }
    Ok(count)
}
