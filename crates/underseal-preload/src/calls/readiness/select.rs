//! select(2), by poll: the numbers of TCP sockets do not fit into its sets.

use super::*;

/// Bits of a word of a set.
const BITS: usize = c_long::BITS as usize;

/// What poll says of what select's sets ask, as the kernel has it.
const READABLE: i16 =
    libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR;
const WRITABLE: i16 = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR;
const EXCEPTIONAL: i16 = libc::POLLPRI;

const EVENTS: [i16; 3] = [
    libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND,
    libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND,
    libc::POLLPRI,
];
const ANSWERS: [i16; 3] = [READABLE, WRITABLE, EXCEPTIONAL];

/// The sets of a call, as a program passes them.
type Sets = [*mut fd_set; 3];

fn word(set: *mut fd_set, fd: usize) -> *mut c_long {
    set.cast::<c_long>().wrapping_add(fd / BITS)
}

fn has(set: *mut fd_set, fd: usize) -> bool {
    // SAFETY: the set was tried up to the count of the call, and `fd` is below that.
    let word = unsafe { word(set, fd).read_unaligned() };
    word & (1 << (fd % BITS)) != 0
}

fn put(set: *mut fd_set, fd: usize, ready: bool) -> Result<(), Errno> {
    let place = word(set, fd);
    // SAFETY: as in `has`.
    let old = unsafe { place.read_unaligned() };
    let bit = 1 << (fd % BITS);
    let new = if ready { old | bit } else { old & !bit };
    memory::put_value(place, new)
}

/// What the sets ask, as poll is asked; nothing if no connection is among it.
///
/// # Errors
///
/// `ENOMEM`; of other faults the kernel is to say what they are.
fn asked(count: c_int, sets: &Sets) -> Result<Option<Vec<pollfd>>, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::INVAL)?.min(MOST);
    for set in sets.iter().filter(|set| !set.is_null()) {
        let bytes = count.div_ceil(BITS) * size_of::<c_long>();
        memory::readable(*set, bytes)?;
    }
    let mut fds = Vec::new();
    for fd in 0..count {
        let mut events = 0;
        for (set, asked) in sets.iter().zip(EVENTS) {
            if !set.is_null() && has(*set, fd) {
                events |= asked;
            }
        }
        if events != 0 {
            let fd = fd as c_int;
            let revents = 0;
            fds.try_reserve(1).map_err(|_| Errno::NOMEM)?;
            fds.push(pollfd {
                fd,
                events,
                revents,
            });
        }
    }
    Ok(fds
        .iter()
        .any(|entry| table::is_known(entry.fd))
        .then_some(fds))
}

/// Polls, and writes the answer into the sets. The timeout becomes what is left of it.
fn select_with(
    mut fds: Vec<pollfd>,
    sets: &Sets,
    timeout: &mut Option<timespec>,
    signals: *const sigset_t,
) -> Result<usize, Errno> {
    wait(&mut fds, timeout, signals)?;
    if fds.iter().any(|entry| entry.revents & libc::POLLNVAL != 0) {
        return Err(Errno::BADF);
    }
    let mut ready = 0;
    for entry in &fds {
        for ((set, events), answers) in sets.iter().zip(EVENTS).zip(ANSWERS) {
            if entry.events & events == 0 {
                continue;
            }
            let is_ready = entry.revents & answers != 0;
            put(*set, entry.fd as usize, is_ready)?;
            ready += usize::from(is_ready);
        }
    }
    Ok(ready)
}

/// The time that select waits at most.
fn time_of(timeout: *const timeval) -> Result<Option<timespec>, Errno> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: any bytes are two numbers.
    let time: timeval = unsafe { memory::read(timeout) }?;
    if time.tv_sec < 0 || time.tv_usec < 0 {
        return Err(Errno::INVAL);
    }
    Ok(Some(timespec {
        tv_sec: time.tv_sec.saturating_add(time.tv_usec / 1_000_000),
        tv_nsec: time.tv_usec % 1_000_000 * 1000,
    }))
}

/// As select(2), with Linux' answer of how much time is left.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let sets = [read, write, except];
    let own = |fds| {
        let mut left = time_of(timeout)?;
        let outcome = select_with(fds, &sets, &mut left, null_mut::<c_void>().cast());
        if let Some(left) = left {
            let left = timeval {
                tv_sec: left.tv_sec,
                tv_usec: left.tv_nsec / 1000,
            };
            // As in the kernel: a place that cannot be written is not.
            let _ = memory::put_value(timeout, left);
        }
        outcome
    };
    select_by(count, &sets, own, || {
        // SAFETY: the arguments are the program's.
        unsafe { real::select(count, read, write, except, timeout) }
    })
}

/// Selects by `own` where a number is a connection's, or else by `plain`.
fn select_by(
    count: c_int,
    sets: &Sets,
    own: impl FnOnce(Vec<pollfd>) -> Result<usize, Errno>,
    plain: impl FnOnce() -> c_int,
) -> c_int {
    before_waiting();
    if !process::is_in_use() {
        return plain();
    }
    match asked(count, sets) {
        Ok(Some(fds)) => kept(|| own(fds)),
        Err(Errno::NOMEM) => returned(Err(Errno::NOMEM)) as c_int,
        _ => plain(),
    }
}

/// As pselect(2).
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    signals: *const sigset_t,
) -> c_int {
    let sets = [read, write, except];
    let own = |fds| select_with(fds, &sets, &mut own_timeout(timeout)?, signals);
    select_by(count, &sets, own, || {
        // SAFETY: the arguments are the program's.
        unsafe { real::pselect(count, read, write, except, timeout, signals) }
    })
}
