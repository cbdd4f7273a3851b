//! sendfile(2).

use std::ffi::c_int;

use libc::{off_t, size_t, ssize_t};
use rustix::io::Errno;

use super::send::send_stored;
use crate::call::{on_socket, plainly};
use crate::connection::Socket;
use crate::file::File;
use crate::sys::{self, address, arg};
use crate::{head, memory, real};

fn send_file(
    socket: &Socket,
    input: c_int,
    offset: *mut off_t,
    count: usize,
) -> Result<usize, Errno> {
    head::is_file(socket);
    let start = match offset.is_null() {
        // What cannot be read twice cannot be sent in part.
        true => sys::lseek(input, 0, libc::SEEK_CUR).map_err(|error| match error {
            Errno::BADF => error,
            _ => Errno::INVAL,
        })?,
        // SAFETY: any bytes are a number.
        false => unsafe { memory::read(offset) }?,
    };
    if start < 0 {
        return Err(Errno::INVAL);
    }
    let mut file = File {
        fd: input,
        offset: start,
    };
    let sent = send_stored(socket, &mut file, count)?;
    let end = start + sent as i64;
    match offset.is_null() {
        true => sys::lseek(input, end, libc::SEEK_SET).map(drop)?,
        false => memory::write_number(offset, end)?,
    }
    Ok(sent)
}

/// As sendfile(2).
///
/// # Safety
///
/// As the C library's; the address of the offset is tried first.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendfile(
    out: c_int,
    input: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    let arguments = [arg(input), address(offset), count];
    let all = |socket: &Socket| {
        // SAFETY: the arguments are the program's, and the kernel checks them.
        let plainly = unsafe { plainly(socket, libc::SYS_sendfile, arguments) };
        plainly.unwrap_or_else(|| send_file(socket, input, offset, count))
    };
    match on_socket(out, all) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::sendfile(out, input, offset, count) },
    }
}

/// As sendfile64(3): the same, where offsets have 64 bits.
///
/// # Safety
///
/// As [`sendfile`].
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendfile64(
    out: c_int,
    input: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the arguments are the program's.
    unsafe { sendfile(out, input, offset, count) }
}
