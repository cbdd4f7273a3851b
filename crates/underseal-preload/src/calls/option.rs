//! setsockopt(2) and getsockopt(2): where a program asks for TLS, and what it is answered.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::socklen_t;
use rustix::io::Errno;
use underseal_ulp::{Receive, parse};

use crate::call::{guarded, lend, on_socket, returned};
use crate::connection::{Direction, Private, Socket};
use crate::sys::{self, address, arg};
use crate::table::{self, Known};
use crate::{inert, linger, listing, memory, process, real};

mod hints;
mod payload;

/// The name of the upper layer protocol.
const TLS: &[u8] = b"tls";

/// The longest struct of keys.
const MOST: usize = 56;

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;

/// Whether the kernel has said that it has no TLS. It starts a program to load a module each time that root asks.
static KERNEL_HAS_NONE: AtomicBool = AtomicBool::new(false);

/// As setsockopt(2).
///
/// # Safety
///
/// As the C library's; addresses of TLS options are tried first.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    if let Some(returned) = on_socket(fd, |socket| set_on_socket(socket, level, name, value, len)) {
        return returned as c_int;
    }
    match (level, name) {
        (libc::SOL_TLS, _) if direction(name).is_some() && has_ulp(fd) => {
            let errno = sys::saved_errno();
            let outcome = guarded(|| start(fd, name, value, len));
            sys::set_errno(errno);
            returned(outcome) as c_int
        }
        (libc::SOL_TCP, libc::TCP_ULP) => {
            let errno = sys::saved_errno();
            let asks_kernel = !process::is_always() && !KERNEL_HAS_NONE.load(Ordering::Relaxed);
            // SAFETY: the arguments are the program's.
            let ask_kernel = || unsafe { real::setsockopt(fd, level, name, value, len) };
            if asks_kernel {
                let answer = ask_kernel();
                if answer == 0 || sys::errno() != Errno::NOENT {
                    return answer;
                }
            }
            let outcome = guarded(|| attach(fd, value, len));
            if outcome == Err(Errno::NOENT) {
                // Another protocol is the kernel's.
                return ask_kernel();
            }
            if asks_kernel && outcome.is_ok() {
                KERNEL_HAS_NONE.store(true, Ordering::Relaxed);
            }
            sys::set_errno(errno);
            returned(outcome) as c_int
        }
        // SAFETY: the arguments are the program's.
        _ => unsafe { real::setsockopt(fd, level, name, value, len) },
    }
}

/// The direction that an option is about; none where programs are to open records by themselves.
fn direction(name: c_int) -> Option<Direction> {
    match name {
        libc::TLS_TX => Some(Direction::Tx),
        libc::TLS_RX if process::receives() => Some(Direction::Rx),
        _ => None,
    }
}

/// Whether "tls" was attached to this socket, by us.
fn has_ulp(fd: c_int) -> bool {
    guarded(|| Ok(Known::at(fd).is_some_and(|mut known| known.entry().ulp.is_some())))
        .unwrap_or(false)
}

/// `TCP_ULP`, on a kernel without TLS.
fn attach(fd: c_int, value: *const c_void, len: socklen_t) -> Result<usize, Errno> {
    if len == 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the program has asked for the name to be read, and waits for the call's end.
    let name = unsafe { memory::bytes(value.cast(), (len as usize).min(TLS.len() + 1)) }?;
    if name.strip_suffix(b"\0").unwrap_or(name) != TLS {
        return Err(Errno::NOENT);
    }
    if sys::option::<u8>(fd, libc::SOL_TCP, libc::TCP_INFO)? != ESTABLISHED {
        return Err(Errno::NOTCONN);
    }
    let identity = sys::identity(fd)?;
    let mut known = Known::made_at(fd).ok_or(Errno::NOMEM)?;
    if known.entry().ulp == Some(identity) {
        return Err(Errno::EXIST);
    }
    known.entry().ulp = Some(identity);
    Ok(0)
}

/// The keys that a program points to.
fn keys(value: *const c_void, len: socklen_t) -> Result<underseal_record::TrafficKeys, Errno> {
    if value.is_null() {
        return Err(Errno::INVAL);
    }
    if len as usize > MOST {
        return Err(Errno::INVAL);
    }
    // SAFETY: the program has asked for the keys to be read, and waits for the call's end.
    parse(unsafe { memory::bytes(value.cast(), len as usize) }?)
}

/// `TLS_TX` or `TLS_RX`, whichever is first: the TCP socket moves to a number that the program does not know, and
/// the program's number gets the inert socket. Every refusal leaves all as it was.
fn start(fd: c_int, name: c_int, value: *const c_void, len: socklen_t) -> Result<usize, Errno> {
    let direction = direction(name).ok_or(Errno::NOPROTOOPT)?;
    let keys = keys(value, len)?;
    process::claim()?;
    // Private numbers that were closed unseen may be given out again.
    table::look_again();
    memory::learn();
    lend(|_| ());
    listing::prepare();
    let mut known = Known::made_at(fd).ok_or(Errno::NOMEM)?;
    if known.entry().socket.is_some() {
        // Another thread was faster.
        return Err(Errno::BUSY);
    }
    // From here on others wait for this guard, and find the connection; a signal handler that closes it has it
    // closed behind this call.
    known.announce();
    let moment = table::moment();
    let socket = move_socket(fd, &mut known).inspect_err(|_| known.renounce())?;
    let set = socket.set_keys(direction, keys);
    known.put(socket, moment);
    set.map(|()| 0)
}

/// Moves the TCP socket, with whoever watches it.
fn move_socket(fd: c_int, known: &mut Known) -> Result<Arc<Socket>, Errno> {
    let identity = sys::identity(fd)?;
    if known.is_duplicated() {
        // Somebody could write past us, by the other number.
        return Err(Errno::OPNOTSUPP);
    }
    let entry = known.entry();
    if entry.ulp != Some(identity) {
        return Err(Errno::NOPROTOOPT);
    }
    let private = Private::of_file(fd, identity)?;
    entry.watches.carry_over(fd, private.number())?;
    let inert = inert::replace(fd).inspect_err(|_| {
        let _ = entry.watches.carry_over(private.number(), fd);
    })?;
    Ok(Socket::new(private, inert))
}

fn set_on_socket(
    socket: &Socket,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> Result<usize, Errno> {
    match (level, name) {
        (libc::SOL_TLS, _) if hints::is_one(name) => hints::set(socket, name, value, len),
        (libc::SOL_TLS, payload::MAX_PAYLOAD_LEN) => payload::set(socket, value, len),
        (libc::SOL_TLS, _) => {
            let direction = direction(name).ok_or(Errno::NOPROTOOPT)?;
            socket.set_keys(direction, keys(value, len)?)?;
            if direction == Direction::Tx {
                // The old keys have sealed what was open.
                linger::see_to_rest(socket);
            }
            Ok(0)
        }
        (libc::SOL_TCP, libc::TCP_ULP) => Err(Errno::EXIST),
        (libc::SOL_SOCKET, libc::SO_RCVLOWAT) if socket.opens() => {
            set_low_water(socket, value, len)
        }
        _ => {
            let arguments = [
                arg(socket.tcp()),
                arg(level),
                arg(name),
                address(value),
                len as usize,
            ];
            // SAFETY: the arguments are the program's, and the kernel checks them.
            unsafe { sys::call(libc::SYS_setsockopt, arguments) }
        }
    }
}

/// `SO_RCVLOWAT`, which counts plaintext.
fn set_low_water(socket: &Socket, value: *const c_void, len: socklen_t) -> Result<usize, Errno> {
    if (len as usize) < size_of::<c_int>() {
        return Err(Errno::INVAL);
    }
    // SAFETY: any bytes are a number.
    let bytes = unsafe { memory::read(value.cast::<c_int>()) }?;
    let bytes = usize::try_from(bytes).unwrap_or(c_int::MAX as usize);
    socket.receive(libc::MSG_DONTWAIT, |receive, _| {
        receive.set_low_water(bytes);
        Ok(0)
    })
}

/// As getsockopt(2).
///
/// # Safety
///
/// As the C library's; addresses of TLS options are tried first.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    match on_socket(fd, |socket| get_on_socket(socket, level, name, value, len)) {
        Some(returned) => returned as c_int,
        // SAFETY: the arguments are the program's.
        None => unsafe { real::getsockopt(fd, level, name, value, len) },
    }
}

fn get_on_socket(
    socket: &Socket,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> Result<usize, Errno> {
    match (level, name) {
        (libc::SOL_TLS, libc::TLS_TX | libc::TLS_RX) => {
            // SAFETY: any bytes are a number.
            let room = unsafe { memory::read(len) }? as usize;
            if value.is_null() || room < 4 {
                return Err(Errno::INVAL);
            }
            let of_receive = |receive: &mut Receive, _: &mut _| receive.crypto_info(room);
            let info = match name {
                libc::TLS_TX => socket.transmit_info(room),
                _ => socket.receive(0, of_receive),
            };
            memory::put(value.cast(), info?.as_bytes())?;
            Ok(0)
        }
        (libc::SOL_TLS, _) if hints::is_one(name) => hints::get(socket, name, value, len),
        (libc::SOL_TLS, payload::MAX_PAYLOAD_LEN) => payload::get(socket, value, len),
        (libc::SOL_TLS, _) => Err(Errno::NOPROTOOPT),
        (libc::SOL_SOCKET, libc::SO_RCVLOWAT) if socket.opens() => {
            // SAFETY: any bytes are a number.
            let room = unsafe { memory::read(len) }? as usize;
            let bytes = socket.receive(0, |receive, _| Ok(receive.low_water()))? as c_int;
            let bytes = bytes.to_ne_bytes();
            let bytes = &bytes[..bytes.len().min(room)];
            memory::put(value.cast(), bytes)?;
            memory::put(len.cast(), &(bytes.len() as socklen_t).to_ne_bytes())?;
            Ok(0)
        }
        (libc::SOL_TCP, libc::TCP_ULP) => {
            // SAFETY: any bytes are a number.
            let room = unsafe { memory::read(len) }? as usize;
            let name = b"tls\0";
            let name = &name[..name.len().min(room)];
            memory::put(value.cast(), name)?;
            memory::put(len.cast(), &(name.len() as socklen_t).to_ne_bytes())?;
            Ok(0)
        }
        _ => {
            let arguments = [
                arg(socket.tcp()),
                arg(level),
                arg(name),
                address(value),
                address(len),
            ];
            // SAFETY: the arguments are the program's, and the kernel checks them.
            let done = unsafe { sys::call(libc::SYS_getsockopt, arguments) }?;
            if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
                tell_error(socket, value.cast(), len)?;
            }
            Ok(done)
        }
    }
}

/// Has `SO_ERROR` say what the socket told somebody else, where it has nothing else to say.
fn tell_error(socket: &Socket, value: *mut c_int, len: *const socklen_t) -> Result<(), Errno> {
    // SAFETY: any bytes are a number.
    let room = unsafe { memory::read(len) }? as usize;
    if room < size_of::<c_int>() {
        return Ok(());
    }
    // SAFETY: any bytes are a number.
    let said = unsafe { memory::read(value.cast_const()) }?;
    match (said, socket.take_untold()) {
        (0, Some(error)) => memory::put_value(value, error.raw_os_error()),
        _ => Ok(()),
    }
}
