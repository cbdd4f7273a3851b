//! The C library's own functions, which come behind ours.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{
    clockid_t, epoll_event, fd_set, mmsghdr, mode_t, msghdr, nfds_t, off_t, pollfd, size_t,
    sockaddr, socklen_t, ssize_t, timespec, timeval,
};

use crate::sys;

/// A function of the C library, found when this library is loaded, or when it is first needed: that may be before.
struct Real {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    #[inline]
    fn address(&self) -> *mut c_void {
        let known = self.address.load(Ordering::Relaxed);
        if known.is_null() { self.find() } else { known }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: the name ends in a zero, and RTLD_NEXT is meant for just this.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

/// Makes a function of each line that calls the C library's, which must have that signature; -1 with
/// `ENOSYS` where it has none of the name.
macro_rules! real {
    ($($symbol:literal fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty;)*) => {
        /// Finds all of them: it is not for signal handlers and children of vfork, who call them too, to look for one.
        pub(crate) fn find_all() {
            for real in [$(&functions::$name),*] {
                real.find();
            }
            // SAFETY: the call takes nothing; what it says of functions that are not there is not the program's to see.
            unsafe { libc::dlerror() };
        }

        #[expect(non_upper_case_globals, reason = "they have the functions' names")]
        mod functions {
            use super::Real;

            $(pub(super) static $name: Real = Real::new($symbol);)*
        }

        $(
        /// # Safety
        ///
        /// As the C library's.
        #[inline]
        pub(crate) unsafe fn $name($($arg: $type),*) -> $ret {
            let address = functions::$name.address();
            if address.is_null() {
                sys::set_errno(libc::ENOSYS);
                return -1;
            }
            // SAFETY: the C library's function of that name has this signature.
            let function = unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($type),*) -> $ret>(address)
            };
            // SAFETY: the caller answers for the arguments.
            unsafe { function($($arg),*) }
        }
        )*
    };
}

real! {
    c"write" fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t;
    c"writev" fn writev(fd: c_int, pieces: *const libc::iovec, count: c_int) -> ssize_t;
    c"send" fn send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t;
    c"sendto" fn sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, to: *const sockaddr, to_len: socklen_t) -> ssize_t;
    c"sendmsg" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    c"sendmmsg" fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;
    c"sendfile" fn sendfile(out: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t;
    c"splice" fn splice(input: c_int, input_offset: *mut i64, out: c_int, out_offset: *mut i64, len: size_t, flags: c_uint) -> ssize_t;
    c"read" fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t;
    c"readv" fn readv(fd: c_int, pieces: *const libc::iovec, count: c_int) -> ssize_t;
    c"preadv2" fn preadv2(fd: c_int, pieces: *const libc::iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t;
    c"pwritev2" fn pwritev2(fd: c_int, pieces: *const libc::iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t;
    c"recv" fn recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t;
    c"recvfrom" fn recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t) -> ssize_t;
    c"recvmsg" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    c"recvmmsg" fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int;
    c"setsockopt" fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int;
    c"getsockopt" fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int;
    c"getsockname" fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    c"getpeername" fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    c"shutdown" fn shutdown(fd: c_int, how: c_int) -> c_int;
    c"connect" fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int;
    c"listen" fn listen(fd: c_int, backlog: c_int) -> c_int;
    c"bind" fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int;
    c"fcntl" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int;
    c"ioctl" fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int;
    c"socket" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    c"accept" fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    c"accept4" fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    c"open" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    c"open64" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    c"openat" fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    c"openat64" fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    c"pipe" fn pipe(fds: *mut c_int) -> c_int;
    c"pipe2" fn pipe2(fds: *mut c_int, flags: c_int) -> c_int;
    c"creat" fn creat(path: *const c_char, mode: mode_t) -> c_int;
    c"creat64" fn creat64(path: *const c_char, mode: mode_t) -> c_int;
    c"socketpair" fn socketpair(domain: c_int, kind: c_int, protocol: c_int, fds: *mut c_int) -> c_int;
    c"epoll_create" fn epoll_create(size: c_int) -> c_int;
    c"epoll_create1" fn epoll_create1(flags: c_int) -> c_int;
    c"eventfd" fn eventfd(value: c_uint, flags: c_int) -> c_int;
    c"memfd_create" fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    c"timerfd_create" fn timerfd_create(clock: clockid_t, flags: c_int) -> c_int;
    c"close" fn close(fd: c_int) -> c_int;
    c"close_range" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    c"dup" fn dup(fd: c_int) -> c_int;
    c"dup2" fn dup2(fd: c_int, to: c_int) -> c_int;
    c"dup3" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int;
    c"fclose" fn fclose(file: *mut libc::FILE) -> c_int;
    c"poll" fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int;
    c"ppoll" fn ppoll(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, signals: *const libc::sigset_t) -> c_int;
    c"select" fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int;
    c"pselect" fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, signals: *const libc::sigset_t) -> c_int;
    c"epoll_wait" fn epoll_wait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int) -> c_int;
    c"epoll_pwait" fn epoll_pwait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int, signals: *const libc::sigset_t) -> c_int;
    c"epoll_pwait2" fn epoll_pwait2(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: *const timespec, signals: *const libc::sigset_t) -> c_int;
    c"epoll_ctl" fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int;
}
