//! System calls as such: what this library asks of the kernel for itself never comes back into it, is
//! no cancellation point, and works before any constructor has run.

use std::ffi::{c_int, c_long, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::ptr::null_mut;
use std::time::Duration;

use rustix::io::Errno;

/// The error of the system call that has just failed on this thread.
pub(crate) fn errno() -> Errno {
    // SAFETY: the C library gives each thread a place that is valid while it runs.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: see above; nobody else writes to this thread's place.
    Errno::from_raw_os_error(unsafe { *place })
}

/// What the thread's errno is, as a number that may be 0.
pub(crate) fn saved_errno() -> c_int {
    // SAFETY: the C library gives each thread a place that is valid while it runs.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: see above.
    unsafe { *place }
}

pub(crate) fn set_errno(number: c_int) {
    // SAFETY: the C library gives each thread a place that is valid while it runs.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: see above; nobody else reads or writes this thread's place.
    unsafe { *place = number };
}

fn result(returned: c_long) -> Result<usize, Errno> {
    match usize::try_from(returned) {
        Ok(value) => Ok(value),
        Err(_) => Err(errno()),
    }
}

/// A system call whose arguments are numbers, and addresses that the kernel checks.
///
/// # Safety
///
/// The call must be one that is sound with these arguments: addresses that it writes to must be valid,
/// or come from a program that has asked for just this.
pub(crate) unsafe fn call<const N: usize>(
    number: c_long,
    arguments: [usize; N],
) -> Result<usize, Errno> {
    const { assert!(N <= 6) };
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: the caller answers for number and arguments; those that a call does not have are ignored.
    result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// A number as an argument.
pub(crate) fn arg(number: c_int) -> usize {
    number as usize
}

/// An address as an argument.
pub(crate) fn address<T: ?Sized>(pointer: *const T) -> usize {
    pointer.cast::<c_void>() as usize
}

pub(crate) fn close(fd: c_int) -> Result<(), Errno> {
    // SAFETY: the number is one that this library opened, or that its program closes.
    unsafe { call(libc::SYS_close, [arg(fd)]) }.map(drop)
}

/// What the process may have of something; 0 where that is not known.
pub(crate) fn limit(of: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to a value of that type.
    match unsafe { libc::getrlimit(of, &raw mut limit) } {
        0 => limit.rlim_cur,
        _ => 0,
    }
}

/// The time of `CLOCK_MONOTONIC`.
pub(crate) fn milliseconds() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes to a value of that type.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// Sleeps for so long, or until a signal comes.
pub(crate) fn pause(time: Duration) {
    let time = timespec(time);
    // SAFETY: the kernel reads a time that is ours.
    let _ = unsafe { call(libc::SYS_nanosleep, [address(&raw const time), 0]) };
}

/// Sends this thread a signal, as the kernel does for a write behind the end.
pub(crate) fn raise(signal: c_int) {
    // SAFETY: the call takes nothing.
    let thread = unsafe { call(libc::SYS_gettid, []) };
    // SAFETY: the call takes numbers alone.
    let raise = |thread| unsafe { call(libc::SYS_tgkill, [arg(getpid()), thread, arg(signal)]) };
    let _ = thread.and_then(raise);
}

pub(crate) fn shutdown(fd: c_int, how: c_int) -> Result<(), Errno> {
    // SAFETY: the call takes numbers alone.
    unsafe { call(libc::SYS_shutdown, [arg(fd), arg(how)]) }.map(drop)
}

pub(crate) fn send(fd: c_int, bytes: &[u8], flags: c_int) -> Result<usize, Errno> {
    let (pointer, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the kernel reads `len` bytes at the address of a slice that is as long.
    unsafe {
        call(
            libc::SYS_sendto,
            [arg(fd), address(pointer), len, arg(flags), 0, 0],
        )
    }
}

/// Sends pieces, one behind another.
pub(crate) fn send_pieces(fd: c_int, pieces: &[IoSlice<'_>], flags: c_int) -> Result<usize, Errno> {
    let message = libc::msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: pieces.as_ptr().cast_mut().cast(),
        msg_iovlen: pieces.len(),
        msg_control: null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    };
    let arguments = [arg(fd), address(&raw const message), arg(flags)];
    // SAFETY: slices of that type are what the kernel takes, and it reads as many bytes as each has.
    unsafe { call(libc::SYS_sendmsg, arguments) }
}

pub(crate) fn receive(fd: c_int, buffer: &mut [u8], flags: c_int) -> Result<usize, Errno> {
    let (pointer, len) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `len` bytes at the address of a slice that is as long.
    unsafe {
        call(
            libc::SYS_recvfrom,
            [arg(fd), address(pointer), len, arg(flags), 0, 0],
        )
    }
}

pub(crate) fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    let (pointer, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the kernel reads `len` bytes at the address of a slice that is as long.
    unsafe { call(libc::SYS_write, [arg(fd), address(pointer), len]) }
}

pub(crate) fn read(fd: c_int, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (pointer, len) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `len` bytes at the address of a slice that is as long.
    unsafe { call(libc::SYS_read, [arg(fd), address(pointer), len]) }
}

/// Reads at `offset`, to several places, without moving the descriptor's position.
pub(crate) fn preadv(fd: c_int, rooms: &mut [IoSliceMut<'_>], offset: i64) -> Result<usize, Errno> {
    let (pointer, count) = (rooms.as_mut_ptr(), rooms.len());
    let arguments = [arg(fd), address(pointer), count, offset as usize, 0];
    // SAFETY: slices of that type are what the kernel takes, and each says how many bytes may be written to it.
    unsafe { call(libc::SYS_preadv, arguments) }
}

pub(crate) fn lseek(fd: c_int, offset: i64, whence: c_int) -> Result<i64, Errno> {
    // SAFETY: the call takes numbers alone.
    let at = unsafe { call(libc::SYS_lseek, [arg(fd), offset as usize, arg(whence)]) }?;
    Ok(at as i64)
}

pub(crate) fn fcntl(fd: c_int, command: c_int, argument: usize) -> Result<usize, Errno> {
    // SAFETY: the commands of this library take numbers; one that a program gives is passed on as it is.
    unsafe { call(libc::SYS_fcntl, [arg(fd), arg(command), argument]) }
}

pub(crate) fn getpid() -> c_int {
    // SAFETY: the call takes nothing.
    unsafe { call(libc::SYS_getpid, []) }.map_or(0, |pid| pid as c_int)
}

/// Which file a descriptor is: its device and its inode.
pub(crate) fn identity(fd: c_int) -> Result<(u64, u64), Errno> {
    let stat = stat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The same of a socket; nothing of another file.
pub(crate) fn socket_identity(fd: c_int) -> Option<(u64, u64)> {
    let stat = stat(fd).ok()?;
    (stat.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some((stat.st_dev, stat.st_ino))
}

fn stat(fd: c_int) -> Result<libc::stat, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel writes a `stat` to a place that is as large.
    let status = unsafe { call(SYS_FSTAT, [arg(fd), address(stat.as_mut_ptr())]) };
    status?;
    // SAFETY: it was filled in, and any bytes are a `stat`.
    Ok(unsafe { stat.assume_init() })
}

/// The numbers that this process has.
///
/// # Errors
///
/// Where nobody says which there are, as without a number for that.
pub(crate) fn numbers() -> std::io::Result<Vec<c_int>> {
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let entries = std::fs::read_dir("/proc/self/fd")?;
    Ok(entries.filter_map(|entry| number(entry.ok()?)).collect())
}

const SYS_FSTAT: c_long = libc::SYS_fstat;

/// An option of a socket, as a value of `T`.
pub(crate) fn option<T: Copy + Default>(fd: c_int, level: c_int, name: c_int) -> Result<T, Errno> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    let arguments = [
        arg(fd),
        arg(level),
        arg(name),
        address(&raw mut value),
        address(&raw mut len),
    ];
    // SAFETY: the kernel writes at most `len` bytes to a value that is as long, of a type of numbers.
    unsafe { call(libc::SYS_getsockopt, arguments) }?;
    Ok(value)
}

/// Sets an option of a socket that is a value of `T`.
pub(crate) fn set_option<T: Copy>(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: T,
) -> Result<(), Errno> {
    let arguments = [
        arg(fd),
        arg(level),
        arg(name),
        address(&raw const value),
        size_of::<T>(),
    ];
    // SAFETY: the kernel reads a value that is ours, and as long.
    unsafe { call(libc::SYS_setsockopt, arguments) }.map(drop)
}

pub(crate) fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    }
}

pub(crate) fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: Option<&mut libc::epoll_event>,
) -> Result<(), Errno> {
    let event = event.map_or(null_mut(), std::ptr::from_mut);
    let arguments = [arg(epoll), arg(operation), arg(fd), address(event)];
    // SAFETY: the kernel reads an event from a reference, or nothing.
    unsafe { call(libc::SYS_epoll_ctl, arguments) }.map(drop)
}
