//! Sockets that a process has when it starts: inetd and its kin give it one as several numbers.

use std::ffi::c_int;

use crate::sys;
use crate::table::Duplicating;

/// Numbers that are looked at where nobody says which there are.
const FEW: c_int = 64;

/// Notes those that have several numbers: by one of them plaintext would go past this library.
pub(crate) fn note() {
    let numbers = sys::numbers().unwrap_or_else(|_| (0..FEW).collect());
    let socket = |fd| Some((sys::socket_identity(fd)?, fd));
    let mut sockets: Vec<_> = numbers.into_iter().filter_map(socket).collect();
    sockets.sort_unstable();
    for ((one, fd), (next, other)) in sockets.iter().zip(sockets.iter().skip(1)) {
        if one == next {
            // Without memory for that nothing is granted either.
            let _ = Duplicating::of(*fd).and_then(|duplicating| duplicating.note(*other));
        }
    }
}
