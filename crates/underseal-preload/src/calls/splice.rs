//! splice(2).

use std::ffi::{c_int, c_uint};

use libc::{size_t, ssize_t};
use rustix::io::Errno;

use super::receive::opened;
use super::send::send_data;
use crate::call::{on_socket, receive_plainly};
use crate::connection::Socket;
use crate::sys::{self, address, arg};
use crate::{memory, real};

/// As much of a pipe as is looked at together.
const PIECE: usize = 64 * 1024;

/// A pipe of our own, closed on drop.
pub(super) struct Pipe([c_int; 2]);

impl Pipe {
    pub(super) fn new() -> Result<Self, Errno> {
        let mut ends = [-1; 2];
        let arguments = [address(&raw mut ends), arg(libc::O_CLOEXEC)];
        // SAFETY: the kernel writes two numbers to a place that is as large.
        unsafe { sys::call(libc::SYS_pipe2, arguments) }?;
        Ok(Self(ends))
    }

    /// Puts as many bytes into the pipe `out` as it has room for, once it has any, and as this pipe holds: that is
    /// little where the user has many pipes (`pipe-user-pages-soft`).
    pub(super) fn pass_on(&self, bytes: &[u8], out: c_int, flags: c_uint) -> Result<usize, Errno> {
        let [own_output, own_input] = self.0;
        let most = sys::fcntl(own_input, libc::F_GETPIPE_SZ, 0)?.min(bytes.len());
        let len = sys::write(own_input, &bytes[..most])?;
        let arguments = [arg(own_output), 0, arg(out), 0, len, flags as usize];
        // SAFETY: the call takes numbers alone.
        unsafe { sys::call(libc::SYS_splice, arguments) }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for end in self.0 {
            let _ = sys::close(end);
        }
    }
}

/// Sends what is in a pipe. It is taken from the pipe when it was sent, so that the socket may leave some of it.
fn send_pipe(socket: &Socket, input: c_int, len: usize, flags: c_uint) -> Result<usize, Errno> {
    let own = Pipe::new()?;
    let [own_output, own_input] = own.0;
    let mut bytes = memory::zeros(len.min(PIECE))?;
    let mut sent = 0;
    let of_data = match flags & libc::SPLICE_F_MORE {
        0 => 0,
        _ => libc::MSG_MORE,
    };
    let mut flags = flags & libc::SPLICE_F_NONBLOCK;
    while sent < len {
        let arguments = [
            arg(input),
            arg(own_input),
            (len - sent).min(PIECE),
            flags as usize,
        ];
        // SAFETY: the call takes numbers alone.
        let seen = match unsafe { sys::call(libc::SYS_tee, arguments) } {
            Ok(0) => break,
            Err(_) if sent > 0 => break,
            seen => seen?,
        };
        let seen = sys::read(own_output, &mut bytes[..seen])?;
        let taken = match send_data(socket, &mut &bytes[..seen], seen, of_data) {
            Err(_) if sent > 0 => break,
            taken => taken?,
        };
        sent += sys::read(input, &mut bytes[..taken])?;
        if taken < seen {
            break;
        }
        flags = libc::SPLICE_F_NONBLOCK;
    }
    Ok(sent)
}

/// As splice(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn splice(
    input: c_int,
    input_offset: *mut i64,
    out: c_int,
    out_offset: *mut i64,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let send = |socket: &Socket| {
        if !socket.seals() {
            let arguments = [
                arg(input),
                address(input_offset),
                arg(socket.tcp()),
                address(out_offset),
                len,
                flags as usize,
            ];
            // SAFETY: the arguments are the program's, and the kernel checks them.
            return unsafe { sys::call(libc::SYS_splice, arguments) };
        }
        match (input_offset.is_null(), out_offset.is_null()) {
            (true, true) => send_pipe(socket, input, len, flags),
            _ => Err(Errno::SPIPE),
        }
    };
    if let Some(returned) = on_socket(out, send) {
        return returned;
    }
    let receive = |socket: &Socket| {
        if socket.opens() {
            return match (input_offset.is_null(), out_offset.is_null()) {
                (true, true) => opened::splice(socket, out, len, flags),
                _ => Err(Errno::SPIPE),
            };
        }
        let others = [
            address(input_offset),
            arg(out),
            address(out_offset),
            len,
            flags as usize,
        ];
        // SAFETY: the arguments are the program's, and the kernel checks them.
        unsafe { receive_plainly(socket, libc::SYS_splice, others) }
    };
    match on_socket(input, receive) {
        Some(returned) => returned,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::splice(input, input_offset, out, out_offset, len, flags) },
    }
}
