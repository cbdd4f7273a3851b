//! Whose connections these are: a process that came by fork has copies of keys and numbers that its
//! parent goes on using, and must use none of them.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use crate::call::Inside;
use crate::sys::{self, arg};
use crate::{call, inherited, memory, real, table};

/// Bytes of the page.
const PAGE: usize = 4096;

/// A page that the kernel fills with zeros in a process that comes by fork, however that is called:
/// it holds the number of the process that owns what this library knows.
static OWNER: AtomicPtr<AtomicI32> = AtomicPtr::new(null_mut());

/// Whether this process, or one that it came from by fork, was ever asked for a connection.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Stands there while a thread gives up what a process that came by fork has of its parent's.
const GIVES_UP: i32 = -1;

/// How often the others look whether it has.
const LOOK: Duration = Duration::from_millis(1);

/// One thread makes the page.
static MAKING: Mutex<()> = Mutex::new(());

/// Whether connections are taken over where the kernel has TLS too.
static ALWAYS: AtomicBool = AtomicBool::new(false);

/// Whether a program may have its records opened, too.
static RECEIVES: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = prepare;

/// What is done when the library is loaded.
extern "C" fn prepare() {
    real::find_all();
    read_environment();
    memory::learn_heap();
    // A child of vfork is to be known as one before there are connections: what it closes is noted of its parent's
    // numbers too. Where this fails no connection is made either.
    let _ = make_page();
    inherited::note();
}

/// nginx gives its workers another environment.
fn read_environment() {
    for (switch, name) in [
        (&ALWAYS, c"UNDERSEAL_PRELOAD_ALWAYS"),
        (&RECEIVES, c"UNDERSEAL_PRELOAD_RECEIVE"),
    ] {
        // SAFETY: the name ends in a zero, and no thread changes the environment while libraries are loaded.
        let value = unsafe { libc::getenv(name.as_ptr()) };
        switch.store(!value.is_null(), Ordering::Relaxed);
    }
}

/// Whether connections are taken over where the kernel has TLS too.
pub(crate) fn is_always() -> bool {
    ALWAYS.load(Ordering::Relaxed)
}

/// Whether a program may have its records opened, too.
pub(crate) fn receives() -> bool {
    RECEIVES.load(Ordering::Relaxed)
}

/// Makes this process one that may own connections, before its first.
///
/// # Errors
///
/// What the kernel says where it cannot tell processes that come by fork.
pub(crate) fn claim() -> Result<(), Errno> {
    make_page()?;
    IN_USE.store(true, Ordering::Release);
    Ok(())
}

fn make_page() -> Result<(), Errno> {
    if !OWNER.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let _making = MAKING.lock().map_err(|_| Errno::NOMEM)?;
    if !OWNER.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    // SAFETY: new memory at a place of the kernel's choice.
    let page = unsafe {
        libc::mmap(
            null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(sys::errno());
    }
    // SAFETY: the page is ours alone.
    if unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } != 0 {
        let error = sys::errno();
        // SAFETY: the page is ours alone, and nobody has its address.
        unsafe { libc::munmap(page, PAGE) };
        return Err(error);
    }
    // SAFETY: the function takes nothing and lives as long as the process.
    if unsafe { libc::pthread_atfork(None, None, Some(in_child)) } != 0 {
        return Err(Errno::NOMEM);
    }
    let owner = page.cast::<AtomicI32>();
    // SAFETY: the page is larger than a number, aligned, zeroed, and is never unmapped from here on.
    unsafe { &*owner }.store(sys::getpid(), Ordering::Relaxed);
    OWNER.store(owner, Ordering::Release);
    Ok(())
}

/// The process that owns what is known; nothing where that cannot be told.
fn owner() -> Option<&'static AtomicI32> {
    // SAFETY: null, or a page that is never unmapped.
    unsafe { OWNER.load(Ordering::Acquire).as_ref() }
}

/// Whether this process, or one that it came from by fork, was ever asked for a connection.
#[inline]
pub(crate) fn is_in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// Whether this is a process of its own that shares the memory of the owner, as after vfork: its
/// descriptors are its own, what is known is not. Where nobody owns what is known, or nobody yet, it is no other's.
pub(crate) fn is_guest() -> bool {
    let owner = owner().map_or(0, |owner| owner.load(Ordering::Relaxed));
    owner > 0 && owner != sys::getpid()
}

/// Whether a process that came by fork gives up what it has of its parent's just now. A signal handler alone finds it so:
/// what it notes of a number may be noted where nobody looks any more.
pub(crate) fn gives_up() -> bool {
    owner().is_some_and(|owner| owner.load(Ordering::Acquire) == GIVES_UP)
}

/// Gives up the connections of the process that this one came from, or waits until another thread has. `comes_back` is
/// whether this thread is in the midst of a call on one.
#[inline]
pub(crate) fn adopt(comes_back: bool) {
    if let Some(owner) = owner()
        && owner.load(Ordering::Acquire) <= 0
    {
        become_owner(owner, comes_back);
    }
}

#[cold]
fn become_owner(owner: &AtomicI32, comes_back: bool) {
    // A signal handler that interrupts this does not wait for it.
    let _inside = Inside::enter();
    let orders = (Ordering::Acquire, Ordering::Acquire);
    match owner.compare_exchange(0, GIVES_UP, orders.0, orders.1) {
        Ok(_) => {
            match is_in_use() {
                true => give_up(comes_back),
                false => table::give_up_calls(comes_back),
            }
            owner.store(sys::getpid(), Ordering::Release);
        }
        // This thread itself may be at it.
        Err(_) if comes_back => {}
        Err(_) => {
            while owner.load(Ordering::Acquire) == GIVES_UP {
                sys::pause(LOOK);
            }
        }
    }
}

fn give_up(comes_back: bool) {
    // First: locks of the table may be held by threads that are not here.
    table::give_up(comes_back);
    crate::inert::forget();
    crate::listing::forget();
    crate::linger::forget();
}

extern "C" fn in_child() {
    let errno = sys::saved_errno();
    adopt(call::is_inside());
    sys::set_errno(errno);
}

/// The lowest of the numbers that the program does not know; 0 while that is not known.
static FIRST_PRIVATE: AtomicI32 = AtomicI32::new(0);

/// The lowest number of descriptors that the program does not know: above those that programs count on
/// to be theirs, where the limit allows it.
fn first_private() -> c_int {
    const HIGH: u64 = 1024;
    let half = sys::limit(libc::RLIMIT_NOFILE) / 2;
    half.min(HIGH) as c_int
}

/// Another number for a descriptor's file, which no other program gets by exec.
///
/// # Errors
///
/// `EMFILE`.
pub(crate) fn private_number(fd: c_int) -> Result<c_int, Errno> {
    let duplicate = |first| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, arg(first));
    let known = FIRST_PRIVATE.load(Ordering::Relaxed);
    if known > 0
        && let Ok(number) = duplicate(known)
    {
        return Ok(number as c_int);
    }
    // The limit may be another one by now.
    let first = first_private();
    FIRST_PRIVATE.store(first, Ordering::Relaxed);
    duplicate(first).map(|number| number as c_int)
}
