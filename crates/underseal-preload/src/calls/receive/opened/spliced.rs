//! splice(2) from a connection to a pipe: a record at most, as in the kernel.

use std::ffi::{c_int, c_uint};

use rustix::io::Errno;
use underseal_record::{ContentType, MAX_PLAINTEXT};
use underseal_ulp::{Asked, Sink};

use crate::connection::Socket;
use crate::sys;

/// As much as a pipe takes at once without waiting, if it takes anything.
const PIPE_BUF: usize = 4096;

/// Our own memory.
struct Own<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Sink for Own<'_> {
    fn takes(&mut self, len: usize) -> bool {
        len <= self.bytes.len() - self.len
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let room = self.bytes[self.len..].get_mut(..bytes.len());
        room.ok_or(Errno::FAULT)?.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
}

/// Writes data to the pipe `out`, and takes as much of it from the connection as the pipe took.
pub(in crate::calls) fn splice(
    socket: &Socket,
    out: c_int,
    len: usize,
    flags: c_uint,
) -> Result<usize, Errno> {
    let is_nonblocking = flags & libc::SPLICE_F_NONBLOCK != 0;
    let (most, flags) = match is_nonblocking {
        true => (PIPE_BUF, libc::MSG_DONTWAIT),
        false => (MAX_PLAINTEXT, 0),
    };
    let mut bytes = vec![0; len.min(most)];
    let mut asked = Asked {
        len: bytes.len(),
        takes_types: true,
        peeks: true,
        waits_for_all: false,
    };
    let _ = socket.try_flush();
    socket.receive(flags, |receive, source| {
        let mut own = Own {
            bytes: &mut bytes,
            len: 0,
        };
        let peeked = receive.receive(&asked, &mut own, source)?;
        if peeked
            .content_type
            .is_some_and(|found| found != ContentType::APPLICATION_DATA)
        {
            return Err(Errno::INVAL);
        }
        if peeked.len == 0 {
            return Ok(0);
        }
        if is_nonblocking && !sys::takes_more(out)? {
            return Err(Errno::AGAIN);
        }
        let written = sys::write(out, &bytes[..peeked.len])?;
        asked.len = written;
        asked.peeks = false;
        let mut own = Own {
            bytes: &mut bytes,
            len: 0,
        };
        receive.receive(&asked, &mut own, source)?;
        Ok(written)
    })
}
