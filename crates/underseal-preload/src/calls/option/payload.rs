//! `TLS_TX_MAX_PAYLOAD_LEN`: how much plaintext a record holds, for a peer with a record size limit (RFC 8449).

use std::ffi::{c_int, c_void};

use libc::socklen_t;
use rustix::io::Errno;

use crate::connection::Socket;
use crate::memory;

pub(super) const MAX_PAYLOAD_LEN: c_int = 5;

const LEN: usize = size_of::<u16>();

/// # Errors
///
/// `EINVAL` for another length of the option, and as [`underseal_ulp::Transmit::set_max_payload`].
pub(super) fn set(socket: &Socket, value: *const c_void, len: socklen_t) -> Result<usize, Errno> {
    if value.is_null() || len as usize != LEN {
        return Err(Errno::INVAL);
    }
    // SAFETY: any bytes are a number.
    let most = unsafe { memory::read(value.cast::<u16>()) }?;
    socket.with_transmit(|transmit| transmit.set_max_payload(most).map(|()| 0))
}

/// # Errors
///
/// `EINVAL` for another length of the option.
pub(super) fn get(
    socket: &Socket,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<usize, Errno> {
    // SAFETY: any bytes are a number.
    if unsafe { memory::read(len.cast_const()) }? as usize != LEN {
        return Err(Errno::INVAL);
    }
    let most = socket.with_transmit(|transmit| Ok(transmit.max_payload()))?;
    memory::put_value(value.cast(), most as u16)?;
    Ok(0)
}
