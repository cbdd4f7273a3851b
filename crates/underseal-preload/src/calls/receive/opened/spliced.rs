//! splice(2) from a connection to a pipe: a record at most, as in the kernel.

use std::ffi::{c_int, c_uint};

use rustix::io::Errno;
use underseal_record::{ContentType, MAX_PLAINTEXT};
use underseal_ulp::{Asked, Sink};

use crate::call::told;
use crate::calls::splice::Pipe;
use crate::connection::Socket;
use crate::memory;

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
    let wait = match flags & libc::SPLICE_F_NONBLOCK {
        0 => 0,
        _ => libc::MSG_DONTWAIT,
    };
    let mut bytes = memory::zeros(len.min(MAX_PLAINTEXT))?;
    let mut asked = Asked {
        len: bytes.len(),
        takes_types: true,
        peeks: true,
        waits_for_all: false,
    };
    let _ = socket.try_flush();
    let spliced = socket.receive(wait, |receive, source| {
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
        let written = Pipe::new()?.pass_on(&bytes[..peeked.len], out, flags)?;
        asked.len = written;
        asked.peeks = false;
        let mut own = Own {
            bytes: &mut bytes,
            len: 0,
        };
        receive.receive(&asked, &mut own, source)?;
        Ok(written)
    })?;
    super::count(socket, spliced);
    told(socket, spliced)
}
