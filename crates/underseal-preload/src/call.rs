//! What every call of the program's on a connection goes through.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_long};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, compiler_fence};

use rustix::io::Errno;
use underseal_ulp::Lent;

use crate::connection::Socket;
use crate::table::{self, Found};
use crate::{head, process, sys};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether a signal handler has closed something in the midst of a call.
    static CLOSES: Cell<bool> = const { Cell::new(false) };
    static LENT: RefCell<Lent> = const { RefCell::new(Lent::new()) };
}

/// This thread is in the library, and may hold its locks: a signal handler that interrupts it must
/// not wait for them.
pub(crate) struct Inside(());

impl Inside {
    /// Nothing if the thread is in it already.
    pub(crate) fn enter() -> Option<Self> {
        let is_first = !INSIDE.replace(true);
        compiler_fence(Ordering::SeqCst);
        // Not `then_some`, which would make one in any case, and end it.
        is_first.then(|| Self(()))
    }
}

/// Whether this thread is in the library, as where a signal handler interrupts it.
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// Which thread this is, of those of this process; the one that calls fork is the same in the child. Never 0.
pub(crate) fn thread() -> usize {
    INSIDE.with(|inside| sys::address(std::ptr::from_ref(inside)))
}

impl Drop for Inside {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        INSIDE.set(false);
        // A handler that comes from here on closes by itself.
        compiler_fence(Ordering::SeqCst);
        if CLOSES.get() {
            close_due();
        }
    }
}

/// Has a connection of the program's closed behind the call that a signal handler interrupts.
///
/// # Errors
///
/// `EBADF` where it is closed already.
pub(crate) fn close_later(fd: c_int) -> Result<usize, Errno> {
    CLOSES.set(true);
    match table::close_later(fd) {
        true => Ok(0),
        false => Err(Errno::BADF),
    }
}

#[cold]
fn close_due() {
    let errno = sys::saved_errno();
    let _ = guarded(|| {
        // First: a handler may come meanwhile.
        CLOSES.set(false);
        table::close_due();
        Ok(())
    });
    sys::set_errno(errno);
}

/// Answers a call on `fd` if it is one on a connection: what the program is to be returned, with errno
/// set. Nothing where the C library is to answer.
#[inline]
pub(crate) fn on_socket(
    fd: c_int,
    body: impl FnOnce(&Socket) -> Result<usize, Errno>,
) -> Option<isize> {
    if !table::is_known(fd) {
        return None;
    }
    answer(fd, body)
}

/// A system call on the hidden TCP socket, which is its first argument, after what waits to be sent:
/// what the socket does not take now goes with a later call.
///
/// # Safety
///
/// As [`sys::call`]'s.
pub(crate) unsafe fn flush_and_call<const N: usize>(
    socket: &Socket,
    number: c_long,
    others: [usize; N],
) -> Result<usize, Errno> {
    const { assert!(N < 6) };
    let _ = socket.try_flush();
    let mut arguments = [0; 6];
    arguments[0] = sys::arg(socket.tcp());
    arguments[1..=N].copy_from_slice(&others);
    // SAFETY: the caller answers for number and arguments; those that a call does not have are ignored.
    unsafe { sys::call(number, arguments) }
}

/// A call that receives, on the hidden TCP socket. Where it finds the end of the stream it is told why there is one.
///
/// # Safety
///
/// As [`sys::call`]'s.
pub(crate) unsafe fn receive_plainly<const N: usize>(
    socket: &Socket,
    number: c_long,
    others: [usize; N],
) -> Result<usize, Errno> {
    // SAFETY: the caller answers for number and arguments.
    let received = unsafe { flush_and_call(socket, number, others) }?;
    told(socket, received)
}

/// What was received, or, at the end of the stream, the error that the socket told somebody else.
pub(crate) fn told(socket: &Socket, received: usize) -> Result<usize, Errno> {
    match received {
        0 => socket.take_untold().map_or(Ok(0), Err),
        _ => Ok(received),
    }
}

/// A call that sends, on the hidden TCP socket, where the program has asked for receiving alone; nothing where
/// it is to be sealed.
///
/// # Safety
///
/// As [`sys::call`]'s.
pub(crate) unsafe fn plainly<const N: usize>(
    socket: &Socket,
    number: c_long,
    others: [usize; N],
) -> Option<Result<usize, Errno>> {
    // SAFETY: the caller answers for number and arguments.
    (!socket.seals()).then(|| unsafe { flush_and_call(socket, number, others) })
}

#[cold]
#[inline(never)]
fn answer(fd: c_int, body: impl FnOnce(&Socket) -> Result<usize, Errno>) -> Option<isize> {
    let errno = sys::saved_errno();
    let outcome = guarded(|| {
        Ok(match table::find(fd) {
            None => None,
            Some(Found::Refused(error)) => Some(Err(error)),
            Some(Found::Socket(socket)) => {
                head::next_call();
                Some(body(&socket))
            }
        })
    });
    sys::set_errno(errno);
    match outcome {
        Ok(None) => None,
        Ok(Some(outcome)) => Some(returned(outcome)),
        Err(error) => Some(returned(Err(error))),
    }
}

/// Runs what needs this library's locks, and lets no panic out of it. In a process that came by fork, however that
/// is called, what it is about is its parent's and given up first, with the locks.
pub(crate) fn guarded<T>(body: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let Some(_inside) = Inside::enter() else {
        return Err(Errno::AGAIN);
    };
    let body = || {
        // It has come in just now.
        process::adopt(false);
        body()
    };
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Errno::IO))
}

/// As a function of C returns it: -1 with errno set, or a value with errno as it was.
pub(crate) fn returned(outcome: Result<usize, Errno>) -> isize {
    match outcome {
        Ok(value) => value as isize,
        Err(error) => {
            sys::set_errno(error.raw_os_error());
            -1
        }
    }
}

/// Lends this thread's buffer.
pub(crate) fn lend<T>(with: impl FnOnce(&mut Lent) -> T) -> T {
    let mut with = Some(with);
    let lent = LENT.try_with(|lent| {
        let mut lent = lent.try_borrow_mut().ok()?;
        with.take().map(|with| with(&mut lent))
    });
    match (lent, with) {
        (Ok(Some(value)), _) => value,
        // The thread ends, and its buffer is gone already.
        (_, Some(with)) => with(&mut Lent::new()),
        (_, None) => unreachable!("it was called and has returned"),
    }
}
