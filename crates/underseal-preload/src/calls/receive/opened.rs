//! Calls that receive where the program has asked for TLS_RX: plaintext, with the type of its record for those who
//! have room for it.

use std::ffi::{c_int, c_uint, c_void};

use libc::{cmsghdr, iovec, mmsghdr, msghdr, sockaddr, socklen_t};
use rustix::io::Errno;
use underseal_record::ContentType;
use underseal_ulp::{Asked, Received};

use crate::call::told;
use crate::calls::messages::{self, Done};
use crate::calls::send::{MOST_BYTES, pieces_at};
use crate::connection::Socket;
use crate::file::{Pieces, Scattered};
use crate::memory;

mod spliced;

pub(in crate::calls) use spliced::splice;

/// Bytes of a control message with the type of a record, without what it is padded with.
const TYPE_LEN: usize = size_of::<cmsghdr>() + 1;
/// With it.
const TYPE_SPACE: usize = TYPE_LEN.next_multiple_of(size_of::<usize>());

/// A control message with the type of a record.
#[repr(C)]
#[derive(Clone, Copy)]
struct TypeMessage {
    header: cmsghdr,
    content_type: u8,
    padding: [u8; TYPE_SPACE - TYPE_LEN],
}

/// Whether a call with these flags asks for plaintext.
pub(super) fn is_asked(socket: &Socket, flags: c_int) -> bool {
    socket.opens() && flags & libc::MSG_ERRQUEUE == 0
}

fn receive(
    socket: &Socket,
    (pieces, len): (Pieces, usize),
    flags: c_int,
    takes_types: bool,
) -> Result<Received, Errno> {
    let _ = socket.try_flush();
    let asked = Asked {
        len: len.min(MOST_BYTES),
        takes_types,
        peeks: flags & libc::MSG_PEEK != 0,
        waits_for_all: flags & libc::MSG_WAITALL != 0,
    };
    let mut memory = Scattered::new(pieces);
    let received = socket.receive(flags, |receive, source| {
        receive.receive(&asked, &mut memory, source)
    })?;
    if received.content_type.is_none() && asked.len > 0 {
        told(socket, 0)?;
    }
    if !asked.peeks {
        count(socket, received.len);
    }
    Ok(received)
}

/// Lists that something was received.
fn count(socket: &Socket, bytes: usize) {
    if let Some(registration) = socket.registration() {
        registration.received(bytes);
    }
}

/// As recv(2).
pub(super) fn bytes(
    socket: &Socket,
    (buffer, len): (*mut c_void, usize),
    flags: c_int,
) -> Result<usize, Errno> {
    let piece = iovec {
        iov_base: buffer,
        iov_len: len,
    };
    receive(socket, (Pieces::One(piece), len), flags, false).map(|received| received.len)
}

/// As readv(2).
pub(super) fn pieces(
    socket: &Socket,
    pieces: *const iovec,
    count: c_int,
    flags: c_int,
) -> Result<usize, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
    let (pieces, len) = pieces_at(pieces, count)?;
    receive(socket, (Pieces::Several(pieces), len), flags, false).map(|received| received.len)
}

/// As recvfrom(2): a connected socket has no address to say.
pub(super) fn from(
    socket: &Socket,
    buffer: (*mut c_void, usize),
    flags: c_int,
    (from, from_len): (*mut sockaddr, *mut socklen_t),
) -> Result<usize, Errno> {
    let len = bytes(socket, buffer, flags)?;
    if !from.is_null() {
        memory::put_value(from_len, 0)?;
    }
    Ok(len)
}

/// As recvmsg(2).
pub(super) fn message(socket: &Socket, message: *mut msghdr, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: any bytes are a message header: addresses and lengths.
    let mut header = unsafe { memory::read(message.cast_const()) }?;
    let (pieces, len) = pieces_at(header.msg_iov, header.msg_iovlen)?;
    let room = header.msg_controllen.min(TYPE_SPACE);
    let takes_types = room >= TYPE_LEN
        && !header.msg_control.is_null()
        && memory::is_writable(header.msg_control.cast(), room);
    let received = receive(socket, (Pieces::Several(pieces), len), flags, takes_types)?;
    header.msg_namelen = 0;
    header.msg_controllen = 0;
    header.msg_flags = match received.is_end_of_record {
        true => libc::MSG_EOR,
        false => 0,
    };
    match received.content_type {
        Some(content_type) if takes_types => {
            put_type(header.msg_control, room, content_type)?;
            header.msg_controllen = room;
        }
        Some(_) => header.msg_flags |= libc::MSG_CTRUNC,
        None => {}
    }
    memory::put_value(message, header)?;
    Ok(received.len)
}

fn put_type(control: *mut c_void, room: usize, content_type: ContentType) -> Result<(), Errno> {
    let message = TypeMessage {
        header: cmsghdr {
            cmsg_len: TYPE_LEN,
            cmsg_level: libc::SOL_TLS,
            cmsg_type: libc::TLS_GET_RECORD_TYPE,
        },
        content_type: content_type.0,
        padding: [0; TYPE_SPACE - TYPE_LEN],
    };
    if room >= TYPE_SPACE {
        return memory::put_value(control.cast(), message);
    }
    memory::put_value(control.cast(), message.header)?;
    let place = control.wrapping_byte_add(size_of::<cmsghdr>());
    memory::put_value(place.cast(), message.content_type)
}

/// As recvmmsg(2): the first message is waited for.
pub(super) fn messages(
    socket: &Socket,
    array: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> Result<usize, Errno> {
    messages::each(array, count, |index, place| {
        let flags = match index {
            0 => flags,
            _ => flags | libc::MSG_DONTWAIT,
        };
        let len = message(socket, place, flags)?;
        let goes_on = len > 0;
        Ok(Done { len, goes_on })
    })
}
