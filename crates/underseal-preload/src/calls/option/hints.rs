//! Options by which a program tells a TLS socket of Linux what it may save itself. Nothing can be saved here: they
//! are checked as the kernel checks them, kept, and given back.

use std::ffi::{c_int, c_void};

use libc::socklen_t;
use rustix::io::Errno;
use underseal_record::ProtocolVersion;

use crate::connection::Socket;
use crate::memory;

/// `TLS_TX_ZEROCOPY_RO`: the program does not change what it sends.
const ZEROCOPY: c_int = 3;
/// `TLS_RX_EXPECT_NO_PAD`: the peer does not pad.
const NO_PAD: c_int = 4;

const LEN: usize = size_of::<u32>();

pub(super) fn is_one(name: c_int) -> bool {
    matches!(name, ZEROCOPY | NO_PAD)
}

/// # Errors
///
/// `EINVAL` for a direction that the option is not about, and for anything but yes and no.
pub(super) fn set(
    socket: &Socket,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> Result<usize, Errno> {
    let is_long_enough = match name {
        ZEROCOPY => len as usize == LEN,
        _ => len as usize >= LEN,
    };
    if value.is_null() || !is_long_enough {
        return Err(Errno::INVAL);
    }
    // SAFETY: any bytes are a number.
    let hint = unsafe { memory::read(value.cast::<u32>()) }?;
    if hint > 1 || !applies(socket, name) {
        return Err(Errno::INVAL);
    }
    let bit = 1 << name;
    match hint {
        0 => socket.change_hints(|hints| hints & !bit),
        _ => socket.change_hints(|hints| hints | bit),
    }
    Ok(0)
}

/// # Errors
///
/// As [`set`].
pub(super) fn get(
    socket: &Socket,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<usize, Errno> {
    // SAFETY: any bytes are a number.
    let room = unsafe { memory::read(len.cast_const()) }? as usize;
    let is_enough = match name {
        ZEROCOPY => room == LEN,
        _ => room >= LEN,
    };
    if !is_enough || !applies(socket, name) {
        return Err(Errno::INVAL);
    }
    memory::put_value(len, LEN as socklen_t)?;
    memory::put_value(value.cast(), u32::from(socket.hints() & (1 << name) != 0))?;
    Ok(0)
}

/// Padding is what records of TLS 1.3 have that are opened.
fn applies(socket: &Socket, name: c_int) -> bool {
    match name {
        ZEROCOPY => true,
        _ => socket.opens() && socket.version() == Some(ProtocolVersion::Tls13),
    }
}
