//! The program's memory, which may not be there: it is tried before it is touched, so that a bad
//! address is EFAULT, as it is in the kernel.

use std::ffi::c_int;

use rustix::io::Errno;

use crate::sys::{self, address, arg};

mod own;

pub(crate) use own::{learn, learn_heap};

const PAGE: usize = 4096;

/// Bytes of the kernel's set of signals, which is what is tried.
const TRIED: usize = 8;

/// From this many pages on they are tried by one call.
const MANY_PAGES: usize = 3;

/// As many zeros.
///
/// # Errors
///
/// `ENOMEM`: a program that is short of memory is told so, as by the kernel, and goes on.
pub(crate) fn zeros(len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::NOMEM)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Whether the `len` bytes at `pointer` can be read.
///
/// # Errors
///
/// `EFAULT` if not.
pub(crate) fn readable<T>(pointer: *const T, len: usize) -> Result<(), Errno> {
    if len == 0 {
        return Ok(());
    }
    let start = pointer as usize;
    let last = start.checked_add(len - 1).ok_or(Errno::FAULT)?;
    if own::is_there(start, last) {
        return Ok(());
    }
    let first_page = start & !(PAGE - 1);
    let pages = (last - first_page) / PAGE + 1;
    if pages >= MANY_PAGES {
        match populate(first_page, pages * PAGE) {
            Ok(()) => return Ok(()),
            // Kernels before 5.14, and memory of devices.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
            Err(_) => return Err(Errno::FAULT),
        }
    }
    for page in (first_page..=last).step_by(PAGE) {
        try_to_read(page.max(start) & !(TRIED - 1))?;
    }
    Ok(())
}

/// Has the kernel read every page of a range.
fn populate(start: usize, len: usize) -> Result<(), Errno> {
    let advice = arg(libc::MADV_POPULATE_READ);
    // SAFETY: the advice changes no content of memory.
    unsafe { sys::call(libc::SYS_madvise, [start, len, advice]) }.map(drop)
}

/// Has the kernel read eight bytes, and refuse what they would be used for.
fn try_to_read(start: usize) -> Result<(), Errno> {
    const NO_SUCH_WAY: c_int = -1;
    if start == 0 {
        // It would be taken for no set at all.
        return Err(Errno::FAULT);
    }
    // SAFETY: the kernel copies a set of signals, and then refuses the first argument.
    let tried = unsafe {
        sys::call(
            libc::SYS_rt_sigprocmask,
            [arg(NO_SUCH_WAY), start, 0, TRIED],
        )
    };
    match tried {
        Err(Errno::FAULT) => Err(Errno::FAULT),
        _ => Ok(()),
    }
}

/// The bytes of the program at `pointer`.
///
/// # Errors
///
/// `EFAULT` if they cannot be read.
///
/// # Safety
///
/// No other thread may unmap or write to them meanwhile, which is the contract of the calls that this
/// library stands for; `'a` must not outlast the call.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> Result<&'a [u8], Errno> {
    if len == 0 {
        return Ok(&[]);
    }
    if len > isize::MAX as usize {
        return Err(Errno::FAULT);
    }
    readable(pointer, len)?;
    // SAFETY: they can be read, and the caller answers for the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// A value of the program at `pointer`.
///
/// # Errors
///
/// `EFAULT` if it cannot be read.
///
/// # Safety
///
/// Any bytes must be a valid `T`.
pub(crate) unsafe fn read<T: Copy>(pointer: *const T) -> Result<T, Errno> {
    readable(pointer, size_of::<T>())?;
    // SAFETY: it can be read, and any bytes are a value.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Writes a number to the program's memory, by half the system calls of [`write()`].
///
/// # Errors
///
/// `EFAULT` if that cannot be.
pub(crate) fn write_number(pointer: *mut i64, number: i64) -> Result<(), Errno> {
    const { assert!(size_of::<i64>() == TRIED) };
    if pointer.is_null() {
        return Err(Errno::FAULT);
    }
    if !own::is_there(address(pointer), address(pointer) + TRIED - 1) {
        // The thread's set of signals is written there first, if anything can be.
        let arguments = [arg(libc::SIG_BLOCK), 0, address(pointer), TRIED];
        // SAFETY: the kernel writes where the program asked for it, which it checks, and changes nothing else.
        unsafe { sys::call(libc::SYS_rt_sigprocmask, arguments) }?;
    }
    // SAFETY: it can be written there, and the program waits for the call's end.
    unsafe { pointer.write_unaligned(number) };
    Ok(())
}

/// Whether the `len` bytes at `pointer` can be written without an error. Where that cannot be known it says no.
pub(crate) fn is_writable(pointer: *mut u8, len: usize) -> bool {
    if len == 0 {
        return true;
    }
    let start = pointer.addr();
    let Some(last) = start.checked_add(len - 1) else {
        return false;
    };
    if own::is_there(start, last) {
        return true;
    }
    let first_page = start & !(PAGE - 1);
    let advice = arg(libc::MADV_POPULATE_WRITE);
    let arguments = [first_page, last + 1 - first_page, advice];
    // SAFETY: the advice changes no content of memory.
    unsafe { sys::call(libc::SYS_madvise, arguments) }.is_ok()
}

/// Writes bytes to the program's memory.
///
/// # Errors
///
/// `EFAULT` if that cannot be, `ENOSYS` or `EPERM` where the kernel does not let a process write to
/// itself.
pub(crate) fn put(pointer: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
    if !is_writable(pointer, bytes.len()) {
        return write(pointer, bytes.as_ptr(), bytes.len());
    }
    // SAFETY: it can be written there, the program waits for the call's end, and the bytes are ours.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, bytes.len()) };
    Ok(())
}

/// Writes a value to the program's memory.
///
/// # Errors
///
/// As [`put`].
pub(crate) fn put_value<T: Copy>(pointer: *mut T, value: T) -> Result<(), Errno> {
    let len = size_of::<T>();
    if !is_writable(pointer.cast(), len) {
        return write(pointer.cast(), (&raw const value).cast(), len);
    }
    // SAFETY: it can be written there, and the program waits for the call's end.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// Has the kernel write `len` bytes of ours at `from`, and say where that cannot be.
fn write(pointer: *mut u8, from: *const u8, len: usize) -> Result<(), Errno> {
    let own = libc::iovec {
        iov_base: from.cast_mut().cast(),
        iov_len: len,
    };
    let other = libc::iovec {
        iov_base: pointer.cast(),
        iov_len: len,
    };
    let arguments = [
        arg(sys::getpid()),
        address(&raw const own),
        1,
        address(&raw const other),
        1,
        0,
    ];
    // SAFETY: the kernel reads what is ours and writes where the program asked for it, which it checks.
    match unsafe { sys::call(libc::SYS_process_vm_writev, arguments) } {
        Ok(written) if written == len => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(error) => Err(error),
    }
}
