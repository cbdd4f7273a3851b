//! Calls that make a number. One of them may give a number anew that a connection had and that was closed
//! unseen.

use std::ffi::{c_char, c_int, c_uint};

use libc::{clockid_t, mode_t, sockaddr, socklen_t};

use crate::{real, table};

/// Makes a function of each line that goes on to the C library's of the same name, and to `note` with what that returns.
macro_rules! makers {
    ($note:ident: $(fn $name:ident($($arg:ident: $type:ty),*);)*) => {$(
        /// As the C library's.
        ///
        /// # Safety
        ///
        /// As the C library's.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $name($($arg: $type),*) -> c_int {
            // SAFETY: the arguments are the program's; one that it did not pass is passed on as it is.
            let made = unsafe { real::$name($($arg),*) };
            $note(made);
            made
        }
    )*};
}

fn note_socket(fd: c_int) {
    table::look_again();
    table::note_new(fd);
}

fn note_any(_: c_int) {
    table::look_again();
}

makers! {
    note_socket:
    fn socket(domain: c_int, kind: c_int, protocol: c_int);
    fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t);
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int);
}

makers! {
    note_any:
    fn open(path: *const c_char, flags: c_int, mode: mode_t);
    fn open64(path: *const c_char, flags: c_int, mode: mode_t);
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t);
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t);
    fn pipe(fds: *mut c_int);
    fn pipe2(fds: *mut c_int, flags: c_int);
    fn creat(path: *const c_char, mode: mode_t);
    fn creat64(path: *const c_char, mode: mode_t);
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, fds: *mut c_int);
    fn epoll_create(size: c_int);
    fn epoll_create1(flags: c_int);
    fn eventfd(value: c_uint, flags: c_int);
    fn memfd_create(name: *const c_char, flags: c_uint);
    fn timerfd_create(clock: clockid_t, flags: c_int);
}
